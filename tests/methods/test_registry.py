"""The registry answers by name, and every method's plain half describes itself fully."""

from __future__ import annotations

import pytest

from workers.methods import METHODS, find_method
from workers.methods.options import OptionsError, describe


def test_lora_and_full_are_offered() -> None:
    assert list(METHODS) == ["lora", "full"]
    assert find_method("lora").title == "LoRA"


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionsError) as refused:
        find_method("magic")
    assert refused.value.field == "method"
    assert "lora, full" in refused.value.hint


@pytest.mark.parametrize("name", METHODS)
def test_every_option_has_a_sentence_and_a_working_default(name: str) -> None:
    method = METHODS[name]
    assert all(fact.help.endswith(".") for fact in describe(method.options))
    assert method.options.from_json({}) is not None
