"""Milliseconds that the walls around a training add to its start.

    python -m benchmarks.walls [--turns 20]

Starts a process that ends at once (`true`), as the worker starts a training, with no wall, with more and more of the
walls that this host has, and with all of them; they take turns, and the median counts. The trees' control groups are
made and removed as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from workers.isolation import Isolation, here
from workers.protocol import LAYERS, JobFolder
from workers.tree import Launch, Tree

GROUPS = (
    ("death signal", ("death_signal",)),
    ("namespaces", ("process_namespace", "own_proc", "no_capabilities")),
    ("no network, loopback up", ("no_network",)),
    ("resource limits", ("size_limits",)),
    ("Landlock", ("file_rules", "signal_rules")),
    ("a file system of its own", ("own_view",)),
    ("a user of its own", ("separate_user",)),
    ("control groups", ("process_limit", "memory_limit")),
)


def started_and_ended(isolation: Isolation) -> float:
    """Milliseconds from the worker's call to the end of the tree."""
    with tempfile.TemporaryDirectory() as path:
        folder = JobFolder(Path(path))
        folder.scratch.mkdir(parents=True)
        began = time.perf_counter()
        tree = Tree(Launch(("true",), folder.scratch, path, writable=folder.made), isolation)
        tree.wait(60)
        tree.kill()
        took = 1000 * (time.perf_counter() - began)
        if tree.returncode != 0:
            raise SystemExit(f"These walls do not stand here: {isolation}")
    return took


def steps() -> list[tuple[str, Isolation]]:
    """From no wall to all of this host's, one group at a time."""
    has, so_far, made = here(), Isolation(), [("none", Isolation())]
    for title, names in GROUPS:
        held = {name: True for name in names if getattr(has, name)}
        if held:
            so_far = replace(so_far, **held)  # type: ignore[arg-type]
            made.append((f"+ {title}", so_far))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the walls around a training cost.")
    parser.add_argument("--turns", type=int, default=20)
    turns = parser.parse_args().turns
    rows = steps()
    took: dict[str, list[float]] = {title: [] for title, _ in rows}
    for _ in range(turns):
        for title, isolation in rows:
            took[title].append(started_and_ended(isolation))
    print(f"{'walls':<28} {'median ms':>10} {'fastest ms':>11}")
    for title, _ in rows:
        print(f"{title:<28} {statistics.median(took[title]):>10.0f} {min(took[title]):>11.0f}")
    missing = [layer.title for layer in LAYERS if not getattr(here(), layer.name)]
    print(f"Missing on this host: {', '.join(missing) or 'none'}.")


if __name__ == "__main__":
    main()
