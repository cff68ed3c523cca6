"""How long from the POST of a job to its first training step on an idle worker, and what the time goes into.

    python -m benchmarks.first_step [ROUNDS]

Starts a whole Deltaboard in a temporary folder and launches small LoRA jobs on a toy encoder, one after the other.
The first round also fetches the base model into the worker's cache; it is printed but not in the medians.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.story import toys
from tests.story.conftest import launch, upload, wait_until_ready
from tests.story.stack import Stack, running_stack

PHASES = ("claimed", "training process says loading", "loaded, plan known", "first step logged")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        toys.toy_bert(models / "toy-bert")
        with running_stack(Path(folder) / "var", DELTABOARD_MODEL_FOLDERS=os.fspath(models)) as stack:
            version = upload(stack, "reviews", "reviews.jsonl", toys.reviews())
            model = stack.api("post", "base-models", json={"folder": str(models / "toy-bert")}).json()["id"]
            wait_until_ready(stack, f"base-models/{model}")
            wait_until_ready(stack, f"dataset-versions/{version}")
            print_table([one_round(stack, model, version) for _ in range(rounds + 1)])


def one_round(stack: Stack, model: int, version: int) -> list[float]:
    """Seconds from the POST to each phase."""
    posted = time.time()
    job_id = launch(stack, model, version, training={"epochs": 1})
    stack.wait_for_state(job_id, "succeeded")
    events = stack.api("get", f"jobs/{job_id}/events").json()["items"]
    return [
        moment(events, lambda e: e["kind"] == "attempt") - posted,
        moment(events, lambda e: e["kind"] == "phase" and e.get("phase") == "loading") - posted,
        moment(events, lambda e: e["kind"] == "plan") - posted,
        moment(events, lambda e: e["kind"] == "metrics" and "loss" in e["values"]) - posted,
    ]


def moment(events: list[dict[str, Any]], wanted: Any) -> float:
    return float(next(event["time"] for event in events if wanted(event)))


def print_table(rounds: list[list[float]]) -> None:
    print(f"{'seconds after the POST':32} {'first':>8} {'median':>8} {'min':>8} {'max':>8}   n = {len(rounds) - 1}")
    for number, phase in enumerate(PHASES):
        first, *rest = [each[number] for each in rounds]
        print(f"{phase:32} {first:8.2f} {statistics.median(rest):8.2f} {min(rest):8.2f} {max(rest):8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
