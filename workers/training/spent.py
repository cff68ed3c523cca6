"""Where a training's time goes: seconds by part since they were last told. It counts; it decides nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS = ("data", "forward_backward", "optimizer", "evaluation", "saving")
"""Named as in the series `spent_PART_seconds` (workers.protocol.Event)."""


class Spent:
    """A stopwatch with a face for each part. Two readings of the clock a part: about a microsecond."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """What is done within counts for this part, also where it is given up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - started

    def told(self) -> dict[str, float]:
        """Metric values of all parts; from here on they count anew."""
        values = {f"spent_{part}_seconds": seconds for part, seconds in self.seconds.items()}
        self.seconds = dict.fromkeys(PARTS, 0.0)
        return values
