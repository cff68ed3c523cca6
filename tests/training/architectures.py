"""Toy base models of the architectures that every delta method is held against: two layers, random weights.

Beside the BERT and the Llama of `toys`: a RoBERTa (dense head, shifted positions), a GPT-2 (fused and transposed
linears, biases), a T5 (encoder and decoder, gated feed-forward, relative positions, no biases).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.training import toys
from workers.protocol import Task

WIDTH, POSITIONS = toys.WIDTH, toys.POSITIONS


def roberta_folder(folder: Path, *, width: int = WIDTH) -> Path:
    torch.manual_seed(1)
    tokenizer = toys.word_tokenizer()
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=POSITIONS + 1,
        type_vocab_size=1,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        initializer_range=0.1,
        hidden_dropout_prob=0.05,
        attention_probs_dropout_prob=0.0,
    )
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.save_pretrained(folder)
    return folder


def gpt2_folder(folder: Path, *, width: int = WIDTH) -> Path:
    torch.manual_seed(1)
    tokenizer = toys.byte_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=width,
        n_layer=2,
        n_head=2,
        n_positions=POSITIONS,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.1,
        resid_pdrop=0.05,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def t5_folder(folder: Path, *, width: int = WIDTH) -> Path:
    torch.manual_seed(1)
    tokenizer = ended_byte_tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // 4,
        d_ff=2 * width,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        dropout_rate=0.05,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ended_byte_tokenizer() -> Any:
    """T5-like: one token a byte, every text ends with the end token, and padding is a token of its own."""
    special = ["<pad>", "</s>", "<unk>"]
    vocabulary = {each: number for number, each in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


ARCHITECTURES: dict[str, tuple[Callable[..., Path], tuple[Task, ...]]] = {
    "bert": (toys.encoder_folder, ("text-classification",)),
    "roberta": (roberta_folder, ("text-classification",)),
    "llama": (toys.decoder_folder, ("causal-lm", "text-classification")),
    "gpt2": (gpt2_folder, ("causal-lm", "text-classification")),
    "t5": (t5_folder, ("seq2seq",)),
}
"""How each is made, and the tasks it can be trained for."""

ROWS: dict[Task, Callable[[int], list[dict[str, Any]]]] = {
    "text-classification": toys.opinions,
    "causal-lm": toys.sums,
    "seq2seq": toys.echoes,
}
