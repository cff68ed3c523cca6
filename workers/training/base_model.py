"""Loads the frozen network and its tokenizer from the job folder; safetensors only, no code, no network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
)

from workers.protocol import Task
from workers.training.failures import JobFailure

NEVER_QUANTISED = ("classifier", "score", "pre_classifier", "lm_head")
"""Heads: they train, or stand at the very end, where rounding costs most."""
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
    folder: Path,
    task: Task,
    labels: tuple[str, ...],
    tokenizer: Any,
    dtype: torch.dtype,
    seed: int,
    quantize: str = "none",
) -> Any:
    """The network for this task, in `dtype` or fewer bits; a new classification head is drawn from `seed`."""
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
    fewer_bits = {} if quantize == "none" else {"quantization_config": _four_bits(dtype)}
    return kind.from_pretrained(
        folder, config=config, dtype=dtype, use_safetensors=True, **fewer_bits, **fresh_head, **LOCAL
    )


def _four_bits(dtype: torch.dtype) -> BitsAndBytesConfig:
    if find_spec("bitsandbytes") is None:
        raise JobFailure(
            "bad_config",
            "This worker cannot keep a base model in 4 bits: the package bitsandbytes is not installed there. "
            "Install it on the worker, or choose the method LoRA.",
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(NEVER_QUANTISED),
    )


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
