"""Loads the frozen network and its tokenizer from the job folder; safetensors only, no code, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from workers.protocol import Task
from workers.training.failures import JobFailure

NO_LIMIT = 10**30
LOCAL = {"local_files_only": True, "trust_remote_code": False}


def training_tokenizer(folder: Path) -> Any:
    """The tokenizer for rows that are cut afterwards: it does not complain of long ones."""
    tokenizer = load_tokenizer(folder)
    tokenizer.model_max_length = NO_LIMIT
    return tokenizer


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer, with a padding token in any case: the end token stands in where there is none."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    if tokenizer.pad_token_id is None:
        # Harmless: labels and attention masks are made from lengths, never from ids.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise JobFailure("bad_config", "The base model's tokenizer has neither a padding nor an end token; add one.")
    return tokenizer


def load_network(
    folder: Path, task: Task, labels: tuple[str, ...], tokenizer: Any, dtype: torch.dtype, seed: int
) -> Any:
    """The network for this task, in `dtype`; a new classification head is drawn from `seed`."""
    _require_safetensors(folder)
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(seed)
    if task == "text-classification":
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
        config.problem_type = "single_label_classification"
        kind = AutoModelForSequenceClassification
    else:
        kind = AutoModelForSeq2SeqLM if task == "seq2seq" else AutoModelForCausalLM
    # A head for other labels, left over from an earlier training, is replaced by a fresh one.
    fresh_head = {"ignore_mismatched_sizes": True}
    return kind.from_pretrained(folder, config=config, dtype=dtype, use_safetensors=True, **fresh_head, **LOCAL)


def decoder_start(folder: Path) -> int:
    """The token that a decoder of an encoder-decoder starts with; the padding token where none is named."""
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    named = getattr(config, "decoder_start_token_id", None)
    return int(named if named is not None else getattr(config, "pad_token_id", None) or 0)


def _require_safetensors(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    raise JobFailure(
        "unsafe_file",
        "The base model has no safetensors weights; pickle files can run code and are not loaded. "
        "Register a revision that has safetensors.",
    )
