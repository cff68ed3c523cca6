"""What telemetry costs a training: seconds that a step spends on telling, and processor time of the threads beside it.

    python -m benchmarks.telemetry [--base-model FOLDER] [--steps 60] [--batch 4] [--length 128]

One real training in this process, whose events go nowhere; three of its parts carry a clock. The step itself waits
only for the first. The processor time of the two threads is counted in full, as if it came out of the step, which is
the worst case of a machine with no core to spare. Goal: less than a hundredth of the steps' time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.overhead import make_job, mid_toy
from benchmarks.queue import Table
from workers.protocol import EVENT_FD_VARIABLE
from workers.training.__main__ import main as train
from workers.training.events import Events
from workers.training.loop import Loop
from workers.training.memory import MemorySampler

WARM_UP = 5
GOAL = 0.01


@dataclass
class Clocks:
    """What was spent where, in seconds."""

    telling: list[float] = field(default_factory=list)
    """Of the step: gathering its numbers and handing them to the writer."""
    ends: list[float] = field(default_factory=list)
    """When each step was told."""
    beside: dict[str, float] = field(default_factory=dict)
    """Processor time of a thread, from its start to its end."""

    def in_step(self, report: Callable[..., None]) -> Callable[..., None]:
        def timed(*given: Any) -> None:
            before = time.perf_counter()
            report(*given)
            self.ends.append(time.perf_counter())
            self.telling.append(self.ends[-1] - before)

        return timed

    def of_thread(self, name: str, work: Callable[..., None]) -> Callable[..., None]:
        def timed(*given: Any) -> None:
            try:
                work(*given)
            finally:
                self.beside[name] = time.thread_time()

        return timed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-model", type=Path, help="folder of a Llama-like base model; left out, a toy of 13 M")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=128, help="tokens of every row")
    asked = parser.parse_args()
    asked.turns = -(-asked.steps // 5)  # as make_job counts
    clocks = measured(asked)
    table = Table()
    told(table, clocks)
    return 1 if table.missed else 0


def measured(asked: argparse.Namespace) -> Clocks:
    clocks = Clocks()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ[EVENT_FD_VARIABLE] = str(os.open(os.devnull, os.O_WRONLY))
    for owner, name, timed in (
        (Loop, "_report", clocks.in_step),
        (MemorySampler, "_sample", partial(clocks.of_thread, "sampling")),
        (Events, "_write_all", partial(clocks.of_thread, "writing")),
    ):
        setattr(owner, name, timed(getattr(owner, name)))
    with tempfile.TemporaryDirectory() as folder:
        base_model = asked.base_model or mid_toy(Path(folder) / "base")
        job = make_job(Path(folder) / "job", base_model, asked)
        if train([str(job.path)]):
            raise SystemExit("The training failed; run it by hand to see why.")
    return clocks


def told(table: Table, clocks: Clocks) -> None:
    ends, telling = clocks.ends[WARM_UP:], clocks.telling[WARM_UP + 1 :]
    training = ends[-1] - ends[0]
    whole = clocks.ends[-1] - clocks.ends[0]
    table.row("steps measured", f"{len(telling)}", "", None)
    table.row("a step", f"{1000 * training / len(telling):.1f} ms", "", None)
    table.row("of it telling its numbers", f"{1e6 * sum(telling) / len(telling):.0f} µs", "", None)
    for name, seconds in clocks.beside.items():
        table.row(f"processor time of {name}, beside it", f"{1000 * seconds / whole:.2f} ms/s", "", None)
    share = sum(telling) / training + sum(clocks.beside.values()) / whole
    table.row("telemetry's share of a step", f"{100 * share:.2f} %", f"< {100 * GOAL:.0f} %", share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
