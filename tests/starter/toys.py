"""Toy base models of every family, two blocks and width 32, and folders with one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PretrainedConfig, PreTrainedTokenizerFast

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 100,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
ENDS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}

BERT = transformers.BertConfig(**SMALL)
ROBERTA = transformers.RobertaConfig(**SMALL)
DISTILBERT = transformers.DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=48, vocab_size=100)
DEBERTA = transformers.DebertaV2Config(**SMALL)
LLAMA = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, tie_word_embeddings=True)
UNTIED_LLAMA = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, tie_word_embeddings=False)
PHI3 = transformers.Phi3Config(**SMALL)
GPT2 = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, **ENDS)
GPT_NEOX = transformers.GPTNeoXConfig(**SMALL)
OPT = transformers.OPTConfig(
    hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, vocab_size=100
)
T5 = transformers.T5Config(d_model=32, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=3, num_heads=4, vocab_size=100)
BART = transformers.BartConfig(
    d_model=32,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=48,
    decoder_ffn_dim=48,
    vocab_size=100,
)


def save(folder: Path, config: PretrainedConfig = BERT, model_class: Any = transformers.AutoModel) -> Path:
    """A complete base model folder: config, safetensors and a tokenizer of a few words."""
    model_class.from_config(config).save_pretrained(folder)
    words = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "good", "bad"])}
    plain = Tokenizer(WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    return folder
