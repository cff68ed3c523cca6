"""What a base model looks like in numbers: enough to count a delta's parameters without torch.

A worker reads a Shape off a base model once (on the meta device); the site stores it as JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ROLES = ("q", "k", "v", "o", "up", "gate", "down")
"""Linears by what they do: attention query, key, value, output; feed-forward in, gate, out."""


@dataclass(frozen=True)
class Linear:
    """One linear layer of the network."""

    name: str
    """Full dotted name without the head of the task, e.g. `model.layers.0.self_attn.q_proj`."""
    role: str
    """One of ROLES, `qkv` for a fused one, or `other` (pooler, embeddings' projections, lm_head)."""
    layer: int
    """Block it belongs to, from 0; -1 outside the blocks."""
    inputs: int
    outputs: int
    bias: bool
    transposed: bool = False
    """Kept as inputs x outputs (GPT-2's Conv1D), which some methods cannot work on."""


@dataclass(frozen=True)
class Norm:
    """One normalisation layer of the network."""

    name: str
    layer: int
    """Block it belongs to, from 0; -1 outside the blocks."""
    width: int
    bias: bool
    final: bool
    """Stands behind the last block."""


@dataclass(frozen=True)
class Shape:
    """Architecture facts of one base model."""

    model_type: str
    """The config's `model_type`, e.g. `bert`, `llama`."""
    hidden: int
    layers: int
    feed_forward: int
    heads: int
    key_value: int
    """Width of keys and values (= hidden without grouped queries)."""
    vocabulary: int
    positions: int
    """Longest input in tokens; 0 if the architecture sets no limit."""
    parameters: int
    """All parameters of the bare network, tied ones once, without a classification head."""
    tied_embeddings: bool
    linears: tuple[Linear, ...]
    head: str = "linear"
    """Classification head: `linear` (hidden·labels + labels), `linear_no_bias` (hidden·labels, decoders),
    `dense` (hidden² + hidden + hidden·labels + labels, RoBERTa)."""
    norms: tuple[Norm, ...] = ()
    blocks: tuple[int, ...] = ()
    """Parameters of each block; with an encoder and a decoder, those of the decoder stand behind."""
    pooler: int = 0
    """Parameters of an encoder's pooler, which stands behind the last block."""
    decoder_layers: int = 0
    """Blocks of the decoder where there is an encoder beside it, else 0."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Shape:
        linears = tuple(Linear(**linear) for linear in data["linears"])
        norms = tuple(Norm(**norm) for norm in data.get("norms", ()))
        return cls(**{**data, "linears": linears, "norms": norms, "blocks": tuple(data.get("blocks", ()))})

    @property
    def is_decoder(self) -> bool:
        """A decoder alone: its classification head looks at the last token of a text."""
        return self.head == "linear_no_bias"

    def head_parameters(self, labels: int) -> int:
        """Parameters of the classification head for so many labels."""
        dense = {"linear": 0, "linear_no_bias": 0, "dense": self.hidden * self.hidden + self.hidden}[self.head]
        bias = 0 if self.head == "linear_no_bias" else labels
        return dense + self.hidden * labels + bias

    def untied_output_parameters(self) -> int:
        """Parameters of a language model's output layer where it is not the embedding itself; never part of
        `parameters`."""
        outside = (linear for linear in self.linears if self.is_output(linear))
        return sum(linear.inputs * linear.outputs + linear.outputs * linear.bias for linear in outside)

    def is_output(self, linear: Linear) -> bool:
        """Whether this linear is a language model's output layer."""
        return linear.layer < 0 and linear.outputs == self.vocabulary
