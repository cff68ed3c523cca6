"""Shapes of known networks, written down by hand, for tests that count parameters."""

from __future__ import annotations

from workers.methods.shape import Linear, Norm, Shape


def minilm() -> Shape:
    """all-MiniLM-L6: a BERT encoder of 22.7 M parameters."""
    linears: list[Linear] = []
    for layer in range(6):
        prefix = f"bert.encoder.layer.{layer}"
        for name, role, inputs, outputs in (
            ("attention.self.query", "q", 384, 384),
            ("attention.self.key", "k", 384, 384),
            ("attention.self.value", "v", 384, 384),
            ("attention.output.dense", "o", 384, 384),
            ("intermediate.dense", "up", 384, 1536),
            ("output.dense", "down", 1536, 384),
        ):
            linears.append(Linear(f"{prefix}.{name}", role, layer, inputs, outputs, bias=True))
    linears.append(Linear("bert.pooler.dense", "other", -1, 384, 384, bias=True))
    norms = [Norm("bert.embeddings.LayerNorm", -1, 384, bias=True, final=False)]
    for layer in range(6):
        for place in ("attention.output", "output"):
            norms.append(Norm(f"bert.encoder.layer.{layer}.{place}.LayerNorm", layer, 384, bias=True, final=False))
    return Shape(
        "bert",
        384,
        6,
        1536,
        12,
        384,
        30522,
        512,
        22_713_216,
        False,
        tuple(linears),
        norms=tuple(norms),
        blocks=(1_774_464,) * 6,
        pooler=384 * 384 + 384,
    )


def smollm2() -> Shape:
    """SmolLM2-135M: a Llama decoder with grouped queries and tied embeddings."""
    linears: list[Linear] = []
    for layer in range(30):
        prefix = f"model.layers.{layer}"
        for name, role, inputs, outputs in (
            ("self_attn.q_proj", "q", 576, 576),
            ("self_attn.k_proj", "k", 576, 192),
            ("self_attn.v_proj", "v", 576, 192),
            ("self_attn.o_proj", "o", 576, 576),
            ("mlp.gate_proj", "gate", 576, 1536),
            ("mlp.up_proj", "up", 576, 1536),
            ("mlp.down_proj", "down", 1536, 576),
        ):
            linears.append(Linear(f"{prefix}.{name}", role, layer, inputs, outputs, bias=False))
    norms = [
        Norm(f"model.layers.{layer}.{name}", layer, 576, bias=False, final=False)
        for layer in range(30)
        for name in ("input_layernorm", "post_attention_layernorm")
    ]
    return Shape(
        "llama",
        576,
        30,
        1536,
        9,
        192,
        49152,
        8192,
        134_515_008,
        True,
        tuple(linears),
        head="linear_no_bias",
        norms=(*norms, Norm("model.norm", -1, 576, bias=False, final=True)),
        blocks=(3_540_096,) * 30,
    )


def fused() -> Shape:
    """A network with one fused linear for query, key and value."""
    linears = (
        Linear("h.0.attn.c_attn", "qkv", 0, 64, 192, bias=True, transposed=True),
        Linear("h.0.attn.c_proj", "o", 0, 64, 64, bias=True, transposed=True),
    )
    return Shape("gpt2", 64, 1, 256, 4, 64, 1000, 128, 100_000, True, linears)
