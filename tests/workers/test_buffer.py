"""Events that wait for the site: in order, without gaps, and never more than there is room for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workers.buffer import EventBuffer


def drained(buffer: EventBuffer) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not buffer.empty:
        first, batch = buffer.take(10, 1000)
        events += [json.loads(text) for text in batch]
        buffer.done(first + len(batch) - 1)
    return events


def test_what_does_not_fit_in_memory_comes_back_in_order(tmp_path: Path) -> None:
    buffer = EventBuffer(tmp_path / "unsent", memory_bytes=200)
    for step in range(100):
        buffer.add({"seq": 7, "kind": "metrics", "step": step})
    assert (tmp_path / "unsent").exists()
    events = drained(buffer)
    assert [event["step"] for event in events] == list(range(100))
    assert [event["seq"] for event in events] == list(range(1, 101))
    assert not (tmp_path / "unsent").exists()


def test_a_batch_is_the_same_until_the_site_has_it(tmp_path: Path) -> None:
    buffer = EventBuffer(tmp_path / "unsent")
    for step in range(5):
        buffer.add({"kind": "metrics", "step": step})
    first, batch = buffer.take(3, 1000)
    assert buffer.take(3, 1000) == (first, batch)
    buffer.done(2)
    assert [json.loads(text)["seq"] for text in buffer.take(3, 1000)[1]] == [3, 4, 5]


def test_log_lines_are_left_out_first_and_ends_never(tmp_path: Path) -> None:
    buffer = EventBuffer(tmp_path / "unsent", memory_bytes=100, disk_bytes=2000)
    for step in range(100):
        buffer.add({"kind": "log", "text": "x" * 40})
        buffer.add({"kind": "metrics", "step": step})
    buffer.add({"kind": "failed", "reason": "diverged"})
    assert buffer.left_out
    events = drained(buffer)
    kinds = [event["kind"] for event in events]
    assert kinds.count("metrics") > kinds.count("log")
    assert kinds[-1] == "failed"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("text", [{"kind": "log", "text": "\ud800"}, {"kind": "log", "text": float("nan")}])
def test_what_json_cannot_carry_is_refused(tmp_path: Path, text: dict[str, Any]) -> None:
    buffer = EventBuffer(tmp_path / "unsent")
    with pytest.raises(ValueError, match=r"surrogates|JSON"):
        buffer.add(text)
    assert buffer.empty
