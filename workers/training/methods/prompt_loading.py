"""How virtual tokens are loaded by stock libraries: the card's lines, and what PEFT and transformers must be told.

PEFT 0.21 hands the cache of keys and values to a step of generation as `past_key_values`, and looks for it there.
transformers 5.24 calls it `cache`: left alone, `generate` leaves a prefix out and reads a prompt again at every step.
"""

from __future__ import annotations

from typing import Any

from transformers import DynamicCache, EncoderDecoderCache

from workers.protocol import JobSpec
from workers.training.methods.peft_native import snippet as plain_snippet

GENERATES = '''\


def renamed(prepare, old, new):
    """The inputs of a step, with the cache of keys and values under the name that the next one looks for it."""

    def prepared(*args, **kwargs):
        return {new if name == old else name: value for name, value in prepare(*args, **kwargs).items()}

    return prepared


if "cache" in inspect.signature(base.prepare_inputs_for_generation).parameters:
    # PEFT 0.21 says `past_key_values` where this transformers says `cache`: `generate` would not use the delta rightly.
    inner = renamed(model.base_model_prepare_inputs_for_generation, "cache", "past_key_values")
    model.base_model_prepare_inputs_for_generation = inner
    model.prepare_inputs_for_generation = renamed(model.prepare_inputs_for_generation, "past_key_values", "cache")
'''
BESIDE_THE_SOURCE = """\
prefix = model.get_prompt
# The attention over the source needs a cache of its own; PEFT gives none, and it would write into the prefix's.
model.get_prompt = lambda *args, **kwargs: EncoderDecoderCache(prefix(*args, **kwargs), DynamicCache())
"""


def snippet(spec: JobSpec) -> str:
    """As every method of PEFT; in front of a decoder, generation is mended."""
    if spec.task != "causal-lm":
        return plain_snippet(spec)
    return f"import inspect\n\n{plain_snippet(spec)}{GENERATES}"


def prefix_snippet(spec: JobSpec) -> str:
    """As `snippet`; in an encoder-decoder the prefix stands beside the attention over the source."""
    if spec.task != "seq2seq":
        return snippet(spec)
    loaded = plain_snippet(spec).replace(
        "import AutoTokenizer, AutoModelForSeq2SeqLM",
        "import AutoModelForSeq2SeqLM, AutoTokenizer, DynamicCache, EncoderDecoderCache",
    )
    return f"import inspect\n\n{loaded}{BESIDE_THE_SOURCE}{GENERATES}"


def beside_the_source(model: Any) -> Any:
    """What BESIDE_THE_SOURCE does, for the training."""
    prefix = model.get_prompt
    model.get_prompt = lambda *args, **kwargs: EncoderDecoderCache(prefix(*args, **kwargs), DynamicCache())
    return model
