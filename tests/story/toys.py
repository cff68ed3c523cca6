"""Toy base models and datasets, made on the spot: small enough to train in seconds, real enough to learn."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

GOOD = ["good", "fine", "great", "lovely", "superb", "warm"]
BAD = ["bad", "poor", "awful", "dull", "weak", "cold"]
PLAIN = ["the", "a", "film", "was", "and", "very", "story", "it", "actor", "scene", "music", "quite"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>", *GOOD, *BAD, *PLAIN]


def _tokenizer(folder: Path, **special: str) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if "cls_token" in special:
        ends = [("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", **special).save_pretrained(folder)


def toy_bert(folder: Path) -> Path:
    """A BERT of 2 layers and width 32 with random weights."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        initializer_range=0.2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    _tokenizer(folder, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    return folder


def toy_llama(folder: Path) -> Path:
    """A Llama of 2 layers and width 32 with random weights."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        initializer_range=0.2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        bos_token_id=WORDS.index("<s>"),
        eos_token_id=WORDS.index("</s>"),
        pad_token_id=WORDS.index("[PAD]"),
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _tokenizer(folder, pad_token="[PAD]", bos_token="<s>", eos_token="</s>")
    return folder


def reviews(rows: int = 400, seed: int = 3) -> bytes:
    """Short reviews whose label is told by one word among plain ones, as JSONL."""
    chance = random.Random(seed)
    lines = []
    for _ in range(rows):
        label = chance.choice(["pos", "neg"])
        words = [*chance.choices(PLAIN, k=5), *chance.choices(GOOD if label == "pos" else BAD, k=2)]
        chance.shuffle(words)
        lines.append(json.dumps({"text": " ".join(words), "label": label}))
    return "\n".join(lines).encode()


def completions(rows: int = 200, seed: int = 3) -> bytes:
    """Prompts and completions that follow from them, as JSONL."""
    chance = random.Random(seed)
    lines = []
    for _ in range(rows):
        words = chance.choices(PLAIN, k=4)
        answer = GOOD if "film" in words else BAD
        lines.append(json.dumps({"prompt": " ".join(words), "completion": " " + " ".join(answer[:3])}))
    return "\n".join(lines).encode()
