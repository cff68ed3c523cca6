"""The registry answers by name, and every method's plain half describes itself fully."""

from __future__ import annotations

import pytest

from tests.methods.shapes import smollm2
from workers.methods import METHODS, find_method
from workers.methods.options import OptionsError, describe

FAMILIES = ("full", "addition", "specification", "reparameterization")


def test_every_method_says_what_it_is() -> None:
    for name, method in METHODS.items():
        assert method.name == name
        assert method.family in FAMILIES
        for text in (method.summary, method.choose_when, method.inference_cost):
            assert text.endswith("."), (name, text)
        assert method.paper
        assert method.formula
        assert method.servable
        assert "vllm" not in method.servable or "only after a causal-lm job" in method.serving
        assert not method.not_mergeable or method.not_mergeable.endswith(".")


def test_a_method_that_is_not_for_every_task_says_why() -> None:
    for name, method in METHODS.items():
        offered_everywhere = {"text-classification", "causal-lm", "seq2seq"} <= set(method.tasks)
        assert offered_everywhere or method.elsewhere.endswith("."), name
    assert "brings its head along" in METHODS["head"].refusal(smollm2(), "causal-lm")


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionsError) as refused:
        find_method("magic")
    assert refused.value.field == "method"
    assert all(name in refused.value.hint for name in METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_option_has_a_sentence_and_a_working_default(name: str) -> None:
    method = METHODS[name]
    assert all(fact.help.endswith(".") for fact in describe(method.options))
    assert method.options.from_json({}) is not None
