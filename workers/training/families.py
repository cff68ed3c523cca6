"""The module names of each family of language models: which linear is query, key, value, output or feed-forward.

Source: the models' own code; this is the table that roles in method options are resolved against.
"""

from __future__ import annotations

import re

BERT = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "o",
    "intermediate.dense": "up",
    "output.dense": "down",
}
DISTILBERT = {"q_lin": "q", "k_lin": "k", "v_lin": "v", "out_lin": "o", "lin1": "up", "lin2": "down"}
DEBERTA = {
    "attention.self.in_proj": "qkv",
    "attention.self.query_proj": "q",
    "attention.self.key_proj": "k",
    "attention.self.value_proj": "v",
    "attention.output.dense": "o",
    "intermediate.dense": "up",
    "output.dense": "down",
}
LLAMA = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}
PHI3 = {"qkv_proj": "qkv", "o_proj": "o", "gate_up_proj": "up", "down_proj": "down"}
GPT2 = {"attn.c_attn": "qkv", "attn.c_proj": "o", "mlp.c_fc": "up", "mlp.c_proj": "down"}
GPT_NEOX = {
    "query_key_value": "qkv",
    "attention.dense": "o",
    "self_attention.dense": "o",
    "dense_h_to_4h": "up",
    "dense_4h_to_h": "down",
}
BART = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "o", "fc1": "up", "fc2": "down"}
T5 = {
    "Attention.q": "q",
    "Attention.k": "k",
    "Attention.v": "v",
    "Attention.o": "o",
    "wi": "up",
    "wi_0": "gate",
    "wi_1": "up",
    "wo": "down",
}

FAMILIES: dict[str, dict[str, str]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), BERT),
    "distilbert": DISTILBERT,
    **dict.fromkeys(("deberta", "deberta-v2"), DEBERTA),
    **dict.fromkeys(
        ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "smollm3", "olmo2", "granite"), LLAMA
    ),
    "phi3": PHI3,
    "gpt2": GPT2,
    **dict.fromkeys(("gpt_neox", "bloom"), GPT_NEOX),
    **dict.fromkeys(("opt", "bart", "mbart", "pegasus"), BART),
    **dict.fromkeys(("t5", "mt5"), T5),
}
"""By the config's `model_type`: the end of a linear's name -> its role. The longest fitting end counts."""

BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
DECODER = re.compile(r"(?:^|\.)decoder\.")


def role_of(model_type: str, name: str) -> str:
    """The role of the linear with this full name, `other` where the family or the name is not known."""
    if not BLOCK.search(name):
        return "other"
    table = FAMILIES.get(model_type, {})
    ends = sorted((end for end in table if _ends_with(name, end)), key=len)
    return table[ends[-1]] if ends else "other"


def block_of(name: str) -> int:
    """The number of the block that the linear stands in, within its own stack; -1 outside of blocks."""
    found = BLOCK.search(name)
    return int(found.group(1)) if found else -1


def in_decoder(name: str) -> bool:
    """Whether the linear stands in the decoder of an encoder-decoder model."""
    return DECODER.search(name) is not None


def _ends_with(name: str, end: str) -> bool:
    # "Attention.q" is the end of "SelfAttention.q" and of "EncDecAttention.q"; all others end at a dot.
    return name.endswith(end) if end.startswith("Attention.") else f".{name}".endswith(f".{end}")
