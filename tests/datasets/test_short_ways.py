"""Rows that take a short way are read as the careful way reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.datasets import chats
from webapp.datasets.problems import Problems

ROLES = st.sampled_from(["system", "user", "assistant", "tool", "User", ""])
CONTENTS = st.sampled_from(["hello", " ", "", "\u2003", "a\nb"]) | st.none() | st.just(["parts"])
TURNS = st.fixed_dictionaries({"role": ROLES, "content": CONTENTS}, optional={"name": st.just("x")})
USUAL = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.sampled_from(["hello", "a\nb"])), min_size=1, max_size=4
).map(lambda turns: [{"role": role, "content": content} for role, content in turns])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=USUAL | st.lists(TURNS, max_size=4) | st.just({"role": "user"}))
def test_a_usual_chat_is_one_of_which_the_careful_way_says_nothing(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if not chats.is_usual(value):
        return  # the careful way may still find nothing
    problems = Problems("a.jsonl")
    with monkeypatch.context() as careful:
        careful.setattr(chats, "is_usual", lambda value: False)
        read = chats.Chats("messages", problems).read(value, (1, 1, {}))
    assert read == value
    assert problems.total == 0
