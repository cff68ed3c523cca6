"""Event lines are numbered without gaps, never too long, never wait for the reader, and all written at the end."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from typing import Any

from workers.protocol import MAX_EVENT_BYTES
from workers.training.events import Events


def read_all(descriptor: int) -> list[dict[str, Any]]:
    with os.fdopen(descriptor, "rb") as pipe:
        return [json.loads(line) for line in pipe]


def test_numbers_that_json_does_not_know_travel_as_text() -> None:
    reader, writer = os.pipe()
    events = Events(writer)
    events.emit("metrics", step=1, values={"loss": math.nan, "up": math.inf, "down": -math.inf, "fine": 1.5})
    events.close()
    os.close(writer)
    (event,) = read_all(reader)
    assert event["values"] == {"loss": "NaN", "up": "Infinity", "down": "-Infinity", "fine": 1.5}
    assert (event["seq"], event["kind"], event["step"]) == (1, "metrics", 1)


def test_a_long_text_is_cut_to_a_short_line() -> None:
    reader, writer = os.pipe()
    events = Events(writer)
    events.log("\x00" * 100_000)
    lines: list[bytes] = []
    drain = threading.Thread(target=lambda: lines.extend(os.fdopen(reader, "rb")))
    drain.start()
    events.close()
    os.close(writer)
    drain.join()
    assert len(lines) == 1
    assert len(lines[0]) <= MAX_EVENT_BYTES


def test_with_nobody_reading_steps_go_on_and_log_lines_are_dropped_first() -> None:
    reader, writer = os.pipe()
    events = Events(writer, max_waiting=200)
    started = time.monotonic()
    for number in range(150):
        events.log("x" * 1000)
        events.emit("metrics", step=number, values={"loss": 1.0})
    events.emit("result", final_metrics={}, best_metric=None, notes=[])
    assert time.monotonic() - started < 5
    read: list[dict[str, Any]] = []
    drain = threading.Thread(target=lambda: read.extend(read_all(reader)))
    drain.start()
    events.close()
    os.close(writer)
    drain.join()
    assert [event["seq"] for event in read] == list(range(1, len(read) + 1))
    assert [event["step"] for event in read if event["kind"] == "metrics"] == list(range(150))
    assert "dropped" in read[-1]["text"]
    assert any(event["kind"] == "result" for event in read)


def test_a_reader_that_is_gone_does_not_stop_the_training() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    events = Events(writer)
    events.log("nobody hears this")
    events.close()
    os.close(writer)
