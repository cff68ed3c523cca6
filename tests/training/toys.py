"""Toy base models, toy tokenizers and job folders, made from nothing: two layers, width 32, some hundred words."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from workers.methods import find_method
from workers.methods.resolving import resolve
from workers.methods.shape import Shape
from workers.protocol import BaseModelRef, DatasetRef, FileRef, JobFolder, JobSpec, Task
from workers.training.base_model import load_network, load_tokenizer
from workers.training.shape import read_shape

GOOD = ("good", "fine", "great", "lovely", "bright")
BAD = ("bad", "awful", "poor", "dull", "sad")
PLAIN = ("the", "film", "was", "and", "a", "story", "actor", "music", "scene", "very")
WIDTH = 32
WIDE = 128
"""Width of toys that are kept in 4 bits: a multiple of the blocks of weights that are packed together."""
POSITIONS = 64

CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }} {{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant {% endif %}"
)


def word_tokenizer() -> Any:
    """BERT-like: one token a word, [CLS] and [SEP] around."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *GOOD, *BAD, *PLAIN])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def byte_tokenizer() -> Any:
    """Llama-like: one token a byte, a chat template without generation marks, and padding only by the end token."""
    special = ["<|end|>", "<|start|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        additional_special_tokens=["<|start|>"],
        chat_template=CHAT_TEMPLATE,
    )


def encoder_folder(folder: Path, *, width: int = WIDTH) -> Path:
    """A BERT of two layers with random weights."""
    torch.manual_seed(1)
    tokenizer = word_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
        initializer_range=0.1,
        hidden_dropout_prob=0.05,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def decoder_folder(folder: Path, *, tied: bool = True, width: int = WIDTH) -> Path:
    """A Llama of two layers with random weights and grouped queries."""
    torch.manual_seed(1)
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=2 * width,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def opinions(rows: int, seed: int = 3) -> list[dict[str, Any]]:
    """Separable sentences with a label; every fourth is for evaluation."""
    chance = random.Random(seed)
    made = []
    for number in range(rows):
        label = chance.choice(["no", "yes"])
        words = chance.choices(PLAIN, k=chance.randint(2, 5)) + chance.choices(GOOD if label == "yes" else BAD, k=2)
        chance.shuffle(words)
        made.append({"text": " ".join(words), "label": label, "split": "eval" if number % 4 == 3 else "train"})
    return made


def sums(rows: int, seed: int = 3) -> list[dict[str, Any]]:
    """Prompts whose completions can be learnt."""
    chance = random.Random(seed)
    made = []
    for number in range(rows):
        word = chance.choice(PLAIN)
        split = "eval" if number % 4 == 3 else "train"
        made.append({"prompt": f"say {word}:", "completion": f" {word} {word}", "split": split})
    return made


def echoes(rows: int, seed: int = 3) -> list[dict[str, Any]]:
    """Sources whose targets are their last word, twice."""
    chance = random.Random(seed)
    made = []
    for number in range(rows):
        words = chance.choices(PLAIN, k=chance.randint(2, 4))
        split = "eval" if number % 4 == 3 else "train"
        made.append({"source": " ".join(words), "target": f"{words[-1]} {words[-1]}", "split": split})
    return made


def job(
    folder: Path,
    base_model: Path,
    rows: list[dict[str, Any]],
    method: str = "lora",
    options: dict[str, Any] | None = None,
    **training: Any,
) -> JobFolder:
    """A job folder as a worker lays it out, with a spec as the site freezes it."""
    made = JobFolder(folder)
    folder.mkdir(parents=True)
    made.base_model.symlink_to(base_model, target_is_directory=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    made.dataset.write_text(lines)
    made.spec.write_text(json.dumps(spec(base_model, rows, lines, method, options or {}, training).as_json()))
    return made


def spec(
    base_model: Path,
    rows: list[dict[str, Any]],
    lines: str,
    method: str,
    options: dict[str, Any],
    training: dict[str, Any],
) -> JobSpec:
    labels = tuple(sorted({row["label"] for row in rows if "label" in row}))
    task: Task = "text-classification" if labels else "seq2seq" if "target" in rows[0] else "causal-lm"
    parts = [sum(row["split"] == part for row in rows) for part in ("train", "eval")]
    resolved = resolve(find_method(method), options, training, shape_of(base_model.resolve()), task, *parts)
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    return JobSpec(
        job_id=1,
        name="A toy",
        task=task,
        base_model=BaseModelRef(1, "Toy", "deltaboard/toy", "", _files(base_model)),
        dataset=DatasetRef(1, "Toys", 1, len(lines), sha256, labels),
        method=method,
        options=resolved[0],
        training=resolved[1],
    )


@cache
def shape_of(base_model: Path) -> Shape:
    """What a worker would have told the site of this base model."""
    return read_shape(AutoConfig.from_pretrained(base_model))[0]


def _files(folder: Path) -> tuple[FileRef, ...]:
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return tuple(FileRef(name, len(each), hashlib.sha256(each).hexdigest()) for name, each in contents.items())


def network(base_model: Path, task: Task, labels: tuple[str, ...]) -> Any:
    """The toy as a training loads it."""
    tokenizer = load_tokenizer(base_model)
    return load_network(base_model, task, labels, tokenizer, torch.float32, seed=17)


def spoiled_copy(base_model: Path, folder: Path, part: str = "value") -> Path:
    """The same base model with one weight that is no number."""
    shutil.copytree(base_model.resolve(), folder)
    weights = load_file(folder / "model.safetensors")
    next(each for name, each in weights.items() if part in name).fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
