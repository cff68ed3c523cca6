"""Every delta method with its own defaults on a starter base model and dataset, against full fine-tuning.

    python -m benchmarks.methods [--on minilm] [--steps 125] [--folder FOLDER] [METHOD[:OPTION=VALUE,…] ...]

Fetches the base model and its dataset as a worker does (kept in FOLDER), takes up to 2,000 training and 500 eval rows,
and trains each method in a process of its own for the same number of steps of as many rows. Gain is how far the
accuracy rises above (for language models: the loss falls below) where full fine-tuning began, as a share of how far
full fine-tuning came. One thread, so that the figures can be repeated.
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
from workers.protocol import BaseModelRef, DatasetRef, InspectionFolder, JobFolder, JobSpec, Task

ROOT = Path(__file__).resolve().parent.parent
YARDSTICK = "full"


@dataclass(frozen=True)
class Ground:
    """What is trained on, and by what it is judged."""

    base_model: str
    dataset: str
    task: Task
    metric: str
    rows: dict[str, int]
    batch_size: int
    max_length: int
    labels: tuple[str, ...] = ()


GROUNDS = {
    "minilm": Ground(
        *("minilm", "movie_snippets", "text-classification", "eval_accuracy"),
        rows={"train": 2_000, "eval": 500},
        batch_size=16,
        max_length=64,
        labels=("neg", "pos"),
    ),
    "smollm2": Ground(
        *("smollm2", "chatterbot_en", "causal-lm", "eval_loss"),
        rows={"train": 600, "eval": 50},
        batch_size=4,
        max_length=64,
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What one training came to."""

    method: str
    before: float
    score: float
    percent: float
    delta_bytes: int
    peak_bytes: float
    step_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--on", choices=GROUNDS, default="minilm")
    parser.add_argument("--steps", type=int, default=125)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "deltaboard-benchmark")
    parser.add_argument("methods", nargs="*", metavar="METHOD")
    given = parser.parse_args()
    ground = GROUNDS[given.on]
    wanted = given.methods or [name for name, each in METHODS.items() if ground.task in each.tasks]
    base_model, facts = fetched(given.folder, ground.base_model)
    rows = chosen_rows(fetched(given.folder, ground.dataset)[0] / "rows.jsonl", ground.rows)
    print(f"{ground.base_model}, {ground.dataset}, {given.steps} steps of {ground.batch_size}; score: {ground.metric}")
    print(f"{'method':<26} {'score':>6} {'gain':>6} {'trained':>8} {'delta kB':>9} {'peak MiB':>9} {'s/step':>7}")
    full: Outcome | None = None
    for name in [YARDSTICK, *(each for each in wanted if each != YARDSTICK)]:
        with tempfile.TemporaryDirectory() as folder:
            shape = Shape.from_json(facts["shape"])
            outcome = trained(Path(folder), base_model, shape, rows, ground, name, given.steps)
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


def chosen_rows(path: Path, wanted: dict[str, int]) -> dict[str, list[str]]:
    """Lines spread evenly over each part: a file may go from bad films to good ones."""
    parts: dict[str, list[str]] = {"train": [], "eval": []}
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        parts[json.loads(line)["split"]].append(line)
    steps = {part: max(1, len(lines) // wanted[part]) for part, lines in parts.items()}
    return {part: lines[:: steps[part]][: wanted[part]] for part, lines in parts.items()}


def trained(
    folder: Path, base_model: Path, shape: Shape, rows: dict[str, list[str]], ground: Ground, named: str, steps: int
) -> Outcome:
    """Train in a process of its own, as a worker would, with the method's own defaults."""
    job = JobFolder(folder)
    job.base_model.symlink_to(base_model.resolve(), target_is_directory=True)
    content = "".join(line for part in rows.values() for line in part)
    job.dataset.write_text(content, encoding="utf-8")
    method, _, told = named.partition(":")
    options = dict(each.split("=", 1) for each in told.split(",") if each)
    training = {"max_steps": steps, "epochs": 1000, "batch_size": ground.batch_size, "max_length": ground.max_length}
    training |= {"eval_every": steps, "save_every": steps}
    counts = len(rows["train"]), len(rows["eval"])
    resolved = resolve(METHODS[method], _typed(options), training, shape, ground.task, *counts)
    digest = hashlib.sha256(content.encode()).hexdigest()
    spec = JobSpec(
        job_id=1,
        name=method,
        task=ground.task,
        base_model=BaseModelRef(1, ground.base_model, "starter", "", ()),
        dataset=DatasetRef(1, ground.dataset, 1, len(content), digest, ground.labels),
        method=method,
        options=resolved[0],
        training=resolved[1],
    )
    job.spec.write_text(json.dumps(spec.as_json()))
    return outcome_of(job, named, ground.metric)


def _typed(options: dict[str, str]) -> dict[str, Any]:
    """As JSON where it is JSON, else as text."""
    typed: dict[str, Any] = {}
    for name, text in options.items():
        try:
            typed[name] = json.loads(text)
        except json.JSONDecodeError:
            typed[name] = text
    return typed


def outcome_of(job: JobFolder, named: str, metric: str) -> Outcome:
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
        method=named,
        before=next(point[metric] for point in points if metric in point),
        score=result["final_metrics"][metric],
        percent=100 * plan["trainable_parameters"] / plan["total_parameters"],
        delta_bytes=sum(path.stat().st_size for path in job.artifact.glob("*.safetensors")),
        peak_bytes=max(point["device_memory_peak_bytes"] for point in points if "device_memory_peak_bytes" in point),
        step_seconds=seconds[len(seconds) // 2],
    )


def print_row(outcome: Outcome, full: Outcome) -> None:
    span = full.score - full.before
    gain = (outcome.score - full.before) / span if span else float("nan")
    print(
        f"{outcome.method:<26} {outcome.score:>6.3f} {gain:>6.0%} {outcome.percent:>7.2f}% "
        f"{outcome.delta_bytes / 1000:>9,.0f} {outcome.peak_bytes / 2**20:>9,.0f} {outcome.step_seconds:>7.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
