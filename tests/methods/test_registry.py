"""The registry answers by name, and every method's plain half describes itself fully."""

from __future__ import annotations

import pytest

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
        assert not method.not_mergeable or method.not_mergeable.endswith(".")


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
