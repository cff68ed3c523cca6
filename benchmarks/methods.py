"""Every delta method with its own defaults on the starter encoder and a starter dataset, against full fine-tuning.

    python -m benchmarks.methods [--steps 125] [--folder FOLDER] [METHOD ...]

Fetches MiniLM and movie_snippets as a worker does (kept in FOLDER), takes 2,000 training and 500 eval rows, and trains
each method in a process of its own for the same number of steps of 16 rows. Gain is the accuracy above the untrained
head of full fine-tuning, as a share of full fine-tuning's own. One thread, so that the figures can be repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from webapp.jobs.starter_catalogue import ENTRIES
from workers.fetching import fetch
from workers.methods import METHODS
from workers.methods.resolving import resolve
from workers.methods.shape import Shape
from workers.protocol import BaseModelRef, DatasetRef, InspectionFolder, JobFolder, JobSpec

ROOT = Path(__file__).resolve().parent.parent
TRAIN_ROWS, EVAL_ROWS, BATCH_SIZE, MAX_LENGTH = 2_000, 500, 16, 64
LABELS = ("neg", "pos")
YARDSTICK = "full"


@dataclass(frozen=True)
class Outcome:
    """What one training came to."""

    method: str
    before: float
    accuracy: float
    percent: float
    delta_bytes: int
    peak_bytes: float
    step_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=125)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "deltaboard-benchmark")
    parser.add_argument("methods", nargs="*", metavar="METHOD")
    given = parser.parse_args()
    wanted = given.methods or [name for name, each in METHODS.items() if "text-classification" in each.tasks]
    base_model, facts = fetched(given.folder, "minilm")
    rows = chosen_rows(fetched(given.folder, "movie_snippets")[0] / "rows.jsonl")
    print(f"{'method':<20} {'accuracy':>8} {'gain':>6} {'trained':>8} {'delta kB':>9} {'peak MiB':>9} {'s/step':>7}")
    full: Outcome | None = None
    for name in [YARDSTICK, *(each for each in wanted if each != YARDSTICK)]:
        with tempfile.TemporaryDirectory() as folder:
            outcome = trained(Path(folder), base_model, Shape.from_json(facts["shape"]), rows, name, given.steps)
        full = full or outcome
        print_row(outcome, full)


def fetched(folder: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """The converted starter entry and what its inspection answered; fetched once."""
    place = InspectionFolder(folder / name)
    if not place.answer.exists():
        place.path.mkdir(parents=True, exist_ok=True)
        entry = ENTRIES[name]
        question = {"kind": f"starter_{entry.kind}", "entry": asdict(entry)}
        fetch(question, place.inputs, lambda text, fraction: None)
        place.question.write_text(json.dumps(question))
        subprocess.run([sys.executable, "-m", "workers.training.inspection", str(place.path)], check=True, cwd=ROOT)
    answer: dict[str, Any] = json.loads(place.answer.read_text())
    return place.output, answer


def chosen_rows(path: Path) -> list[str]:
    """Lines spread evenly over each part: the file goes from bad films to good ones."""
    parts: dict[str, list[str]] = {"train": [], "eval": []}
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        parts[json.loads(line)["split"]].append(line)
    wanted = {"train": TRAIN_ROWS, "eval": EVAL_ROWS}
    return [line for part, lines in parts.items() for line in lines[:: len(lines) // wanted[part]][: wanted[part]]]


def trained(folder: Path, base_model: Path, shape: Shape, rows: list[str], method: str, steps: int) -> Outcome:
    """Train in a process of its own, as a worker would, with the method's own defaults."""
    job = JobFolder(folder)
    job.base_model.symlink_to(base_model.resolve(), target_is_directory=True)
    content = "".join(rows)
    job.dataset.write_text(content, encoding="utf-8")
    training = {"max_steps": steps, "epochs": 1000, "batch_size": BATCH_SIZE, "max_length": MAX_LENGTH}
    training |= {"eval_every": steps, "save_every": steps}
    resolved = resolve(METHODS[method], {}, training, shape, "text-classification", TRAIN_ROWS, EVAL_ROWS)
    digest = hashlib.sha256(content.encode()).hexdigest()
    spec = JobSpec(
        job_id=1,
        name=method,
        task="text-classification",
        base_model=BaseModelRef(1, "MiniLM", "starter", "", ()),
        dataset=DatasetRef(1, "movie_snippets", 1, len(content), digest, LABELS),
        method=method,
        options=resolved[0],
        training=resolved[1],
    )
    job.spec.write_text(json.dumps(spec.as_json()))
    return outcome_of(job, method)


def outcome_of(job: JobFolder, method: str) -> Outcome:
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "workers.training", str(job.path)],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    points = [event["values"] for event in events if event["kind"] == "metrics"]
    plan = next(event for event in events if event["kind"] == "plan")
    result = next(event for event in events if event["kind"] == "result")
    seconds = sorted(point["step_seconds"] for point in points if "step_seconds" in point)
    return Outcome(
        method=method,
        before=next(point["eval_accuracy"] for point in points if "eval_accuracy" in point),
        accuracy=result["final_metrics"]["eval_accuracy"],
        percent=100 * plan["trainable_parameters"] / plan["total_parameters"],
        delta_bytes=sum(path.stat().st_size for path in job.artifact.glob("*.safetensors")),
        peak_bytes=max(point["device_memory_peak_bytes"] for point in points if "device_memory_peak_bytes" in point),
        step_seconds=seconds[len(seconds) // 2],
    )


def print_row(outcome: Outcome, full: Outcome) -> None:
    span = full.accuracy - full.before
    gain = (outcome.accuracy - full.before) / span if span else float("nan")
    print(
        f"{outcome.method:<20} {outcome.accuracy:>8.3f} {gain:>6.0%} {outcome.percent:>7.2f}% "
        f"{outcome.delta_bytes / 1000:>9,.0f} {outcome.peak_bytes / 2**20:>9,.0f} {outcome.step_seconds:>7.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
