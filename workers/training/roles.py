"""Tells from a linear layer's name what it does in the network; knows the architectures by their naming alone."""

from __future__ import annotations

import re

from torch import nn
from transformers.pytorch_utils import Conv1D

IN_A_BLOCK = re.compile(r"\.\d+\.")
"""Task heads and poolers lie outside the numbered blocks, whatever their layers are called."""

ROLE_PATTERNS: tuple[tuple[str, str], ...] = (
    ("q", r"(query|query_proj|q_lin|q_proj|[Aa]ttention\.q)"),
    ("k", r"(key|key_proj|k_lin|k_proj|[Aa]ttention\.k)"),
    ("v", r"(value|value_proj|v_lin|v_proj|[Aa]ttention\.v)"),
    ("qkv", r"(qkv_proj|query_key_value|c_attn|Wqkv)"),
    ("o", r"(attention\.output\.dense|attention\.dense|o_proj|out_lin|out_proj|attn\.c_proj|[Aa]ttention\.o)"),
    ("gate", r"(gate_proj|wi_0)"),
    ("up", r"(intermediate\.dense|up_proj|gate_up_proj|lin1|c_fc|dense_h_to_4h|fc1|wi|wi_1|ffn)"),
    ("down", r"(output\.dense|down_proj|lin2|mlp\.c_proj|dense_4h_to_h|fc2|wo|ffn_output)"),
)
"""First match wins. BERT, RoBERTa, DistilBERT, DeBERTa, ALBERT, Llama and its kin, Phi-3, GPT-2, GPT-NeoX, BLOOM,
OPT, T5, BART."""


def role_of(name: str) -> str:
    """One of `workers.methods.shape.ROLES`, `qkv` for a fused linear, or `other`."""
    if not IN_A_BLOCK.search(name):
        return "other"
    return next((role for role, ends in ROLE_PATTERNS if re.search(rf"(^|\.){ends}$", name)), "other")


def is_linear(module: nn.Module) -> bool:
    """Linear layers, GPT-2's transposed ones among them."""
    return isinstance(module, (nn.Linear, Conv1D))
