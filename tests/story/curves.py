"""Jobs with curves of every kind, planted in a running stack's database through the doors that workers use."""

from __future__ import annotations

import hashlib
import math
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from tests.conftest import TOY_SHAPE
from webapp.accounts.models import Team, User
from webapp.basemodels.models import BaseModel, BaseModelState, Source
from webapp.datasets.models import Dataset, DatasetVersion, VersionState
from webapp.jobs import reporting, studying, transitions
from webapp.jobs.columns import Columns, Series
from webapp.jobs.models import LARGE_CHUNK_POINTS, Artifact, Attempt, Checkpoint, Job, Worker
from webapp.jobs.recording import keep_columns, say, take_numbers
from webapp.jobs.scheduling import Claim, claim
from webapp.jobs.studying import Arm, StudyWish
from workers.protocol import JobSpec, Task

GIB = 1024**3
TRAINING = {"eval_every": 100, "epochs": 3.0, "learning_rate": 2e-4, "batch_size": 8, "seed": 17}


def plant() -> None:
    """In this order: a disturbed job that succeeded, one that runs, one of a single point, one writes, one began
    anew after it was lost early, a long one, one waits."""
    shelf = _shelf(eval_rows=100)
    disturbed = _start(_job(shelf, "disturbed"))
    reporting.accept(disturbed, 1, [_plan(1000), *_curve(1, 620, nan_at=412, spike_at=150)])
    say(disturbed.job_id, "checkpoint", {"step": 500, "best": True}, disturbed)
    Checkpoint.objects.create(job=disturbed.job, attempt=disturbed, step=500, bytes=10, files=[])
    transitions.end_attempt(disturbed, "reconciler", "released", "worker_lost")
    second = _start(disturbed.job)
    reporting.accept(second, 1, [_plan(1000, 500), *_curve(501, 1000)])
    second.refresh_from_db()
    reporting.accept(second, second.acked_seq + 1, [_result()])
    _artifact(second)
    transitions.end_attempt(second, "worker planted", "succeeded")
    running = _start(_job(shelf, "running"))
    reporting.accept(running, 1, [_plan(5000), *_curve(1, 300)])
    _keep(running)
    point = _start(_job(_shelf(eval_rows=0), "point"))
    reporting.accept(point, 1, [_plan(5000), *_curve(1, 1, tokens=False)])
    _keep(point)
    writer = _start(_job(shelf, "writer", "causal-lm"))
    reporting.accept(writer, 1, [_plan(5000), *_says(0), *_curve(1, 200), *_says(100), *_says(200)])
    _keep(writer)
    early = _start(_job(shelf, "lost early"))
    reporting.accept(early, 1, [_plan(1000), *_curve(1, 46)])
    transitions.end_attempt(early, "reconciler", "released", "worker_lost")
    anew = _start(early.job)
    reporting.accept(anew, 1, [_plan(1000)])
    _keep(anew)
    _train_long(_start(_job(shelf, "long")))
    _job(shelf, "waiting")


def _train_long(attempt: Attempt) -> None:
    """A hundred thousand steps, at one of which the loss jumps."""
    reporting.accept(attempt, 1, [_plan(100_000)])
    steps = np.arange(1, 100_001)
    loss = 0.4 + 2 * np.exp(-steps / 20_000) + 0.05 * np.sin(steps)
    loss[43_209] = 9.0
    numbers = take_numbers(attempt.job_id, len(steps)).last_event - len(steps) + steps
    for held in np.split(np.arange(len(steps)), len(steps) // LARGE_CHUNK_POINTS):
        series = {"loss": Series(np.arange(len(held)), loss[held].astype(np.float32))}
        times = (time.time() + steps[held]).astype(np.float64)
        keep_columns(attempt, Columns(steps[held], numbers[held], times, steps[held] / 333, series))
    _keep(attempt)


def continue_running(first: int, last: int) -> None:
    """More points of the running job, from first to last step."""
    attempt = Job.objects.get(name="running").current_attempt
    assert attempt
    reporting.accept(attempt, attempt.acked_seq + 1, _curve(first, last))
    _keep(attempt)


def trickle(first: int, last: int) -> None:
    """The same a step at a time, ten a second."""
    for step in range(first, last + 1):
        continue_running(step, step)
        time.sleep(0.1)


def _keep(attempt: Attempt) -> None:
    """Nobody reports for it, yet it shall not count as lost."""
    Attempt.objects.filter(pk=attempt.pk).update(lease_until=timezone.now() + timedelta(days=1))


def _shelf(eval_rows: int) -> tuple[BaseModel, DatasetVersion]:
    admin, team = User.objects.get(username="admin"), Team.objects.get(slug="first-team")
    facts = {"source": Source.STARTER, "state": BaseModelState.READY, "files": [], "parameters": 125_000_000}
    model, _ = BaseModel.objects.get_or_create(name="toy", defaults=facts)
    dataset = Dataset.objects.create(team=team, name=f"reviews-{eval_rows}", created_by=admin)
    rows = {"read": 900 + eval_rows, "good": 900 + eval_rows, "bad": 0, "train": 900, "eval": eval_rows}
    made = {"task": "text-classification", "rows": rows, "labels": {"neg": 1, "pos": 1}, "sha256": "1" * 64}
    return model, DatasetVersion.objects.create(
        dataset=dataset, number=1, state=VersionState.READY, upload_bytes=1, **made
    )


def _says(step: int) -> list[dict[str, Any]]:
    """What the model answers to two prompts at a step."""
    polite = "I am sorry to hear that. Please send us" if step else "The printer is a printer that"
    said = [f"{polite} the number of the printer.", "Berlin" if step > 100 else "Paris"]
    asked = [("My printer does not print.", "I am sorry. What is its number?"), ("Capital of Germany?", "Berlin")]
    samples = [
        {"prompt": prompt, "wanted": wanted, "said": each} for (prompt, wanted), each in zip(asked, said, strict=True)
    ]
    return [{"kind": "phase", "phase": "training", "step": step, "time": time.time(), "samples": samples}]


def _job(shelf: tuple[BaseModel, DatasetVersion], name: str, task: Task = "text-classification") -> Job:
    admin, team = User.objects.get(username="admin"), Team.objects.get(slug="first-team")
    model, version = shelf
    references = model.as_reference(), version.as_reference()
    spec = JobSpec(0, name, task, *references, "lora", {"rank": 8}, TRAINING)
    return Job.objects.create(
        team=team,
        name=name,
        created_by=admin,
        base_model=model,
        dataset_version=version,
        method="lora",
        task=spec.task,
        spec=spec.as_json(),
    )


def _start(job: Job) -> Attempt:
    Job.objects.filter(pk=job.pk).update(not_before=None)
    attempt = _claim()
    assert attempt.job_id == job.pk
    return attempt


def _artifact(attempt: Attempt, size: int = 18_000_000) -> None:
    """A delta on paper, with its card in the store."""
    card = b"# planted\n"
    key = f"planted/{attempt.pk}"
    default_storage.save(key, ContentFile(card))
    file = {"name": "README.md", "bytes": len(card), "sha256": hashlib.sha256(card).hexdigest(), "key": key}
    Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=size, files=[file], manifest={})


def _plan(total: int, resumed: int = 0) -> dict[str, Any]:
    counts = {"trainable_parameters": 296_450, "total_parameters": 125_296_450}
    device = {"device": "RTX 4090", "memory_kind": "VRAM", "device_memory_total_bytes": 24 * GIB}
    return {"kind": "plan", "total_steps": total, "resumed_step": resumed, "time": time.time(), **counts, **device}


def _result() -> dict[str, Any]:
    best = {"name": "eval_accuracy", "value": 0.911, "step": 900}
    return {"kind": "result", "final_metrics": {"eval_accuracy": 0.911, "eval_loss": 0.31}, "best_metric": best}


def _curve(first: int, last: int, nan_at: int = 0, spike_at: int = 0, tokens: bool = True) -> list[dict[str, Any]]:
    chance = random.Random(first)
    drop = 180 + 60 * (Attempt.objects.count() % 5)
    began = time.time() - 0.4 * last
    events = []
    for step in range(first, last + 1):
        fall = 0.4 + 2 * math.exp(-step / drop)
        values: dict[str, float | str] = {
            "loss": "NaN" if step == nan_at else fall + chance.gauss(0, 0.06),
            "grad_norm": 6.6 if step == spike_at else 0.55 + chance.gauss(0, 0.05),
            "learning_rate": 2e-4 * min(1, step / 60) * max(0.0, 1 - step / 1000),
            "tokens_per_second": 5100 + chance.gauss(0, 60),
            "step_seconds": 0.4,
            "device_memory_bytes": 17.9 * GIB,
            "device_memory_peak_bytes": 17.9 * GIB,
        } | ({"tokens_seen": step * 2048.0} if tokens else {})
        place = {"kind": "metrics", "step": step, "time": began + step * 0.4, "epoch": step / 333}
        events.append(place | {"values": values})
        if step % 100 == 0:
            scores = {"eval_loss": fall + 0.08, "eval_accuracy": 0.93 - fall / 4, "eval_f1": 0.92 - fall / 4}
            events.append(place | {"values": scores})
    return events


SCORES = {("lora", 4): 0.86, ("lora", 16): 0.89, ("bitfit", None): 0.84, ("houlsby", 8): 0.885, ("full", None): 0.90}
COUNTS = {("lora", 4): 4e4, ("lora", 16): 3e5, ("bitfit", None): 1e4, ("houlsby", 8): 9e5, ("full", None): 1.25e8}


def plant_study() -> None:
    """A study of five settings and two seeds; all have succeeded but the last, which runs. Then one of two writers."""
    arms = (Arm("lora", (4, 16)), Arm("bitfit"), Arm("houlsby", (8,)), Arm("full"))
    left = _study("All methods", "text-classification", arms, seeds=(1, 2))
    while left:
        attempt = _claim()
        setting = (attempt.job.method, studying.size_of(attempt.job))
        left -= 1
        _train(attempt, SCORES[setting], int(COUNTS[setting]), ends=left > 0)
    writers = _study("Writers", "causal-lm", (Arm("lora"), Arm("bitfit")), seeds=(1,))
    for step in range(100, 100 * writers + 1, 100):
        attempt = _claim()
        reporting.accept(attempt, 1, [_plan(300), *_says(0), *_curve(1, step), *_says(step)])
        _keep(attempt)


def _study(name: str, task: Task, arms: tuple[Arm, ...], seeds: tuple[int, ...]) -> int:
    """Queues its jobs before all others; returns how many."""
    admin, team = User.objects.get(username="admin"), Team.objects.get(slug="first-team")
    facts = {"source": Source.STARTER, "state": BaseModelState.READY, "files": [], "parameters": 125_000_000}
    shape = {"shape": TOY_SHAPE.as_json(), "tasks": [task], "bytes": 500_000_000}
    model = BaseModel.objects.create(name=f"toy for {name}", **facts, **shape)
    version = _shelf(eval_rows=120 + len(arms))[1]
    DatasetVersion.objects.filter(pk=version.pk).update(task=task)
    version.refresh_from_db()
    study = studying.start(admin, StudyWish(team, model, version, arms, seeds, {"max_steps": 300}, name))
    Job.objects.filter(state="queued").exclude(study=study).update(not_before=timezone.now() + timedelta(days=1))
    return study.jobs.count()


def _train(attempt: Attempt, score: float, count: int, ends: bool) -> None:
    score += 0.004 if attempt.job.spec["training"]["seed"] == 1 else -0.004
    plan = _plan(300) | {"trainable_parameters": count}
    untouched = {"kind": "metrics", "step": 0, "time": 0.0, "values": {"eval_accuracy": 0.5, "eval_loss": 2.5}}
    curve = _curve(1, 300 if ends else 150)
    reporting.accept(attempt, 1, [plan, untouched | {"time": curve[0]["time"]}, *curve])
    Job.objects.filter(pk=attempt.job_id).update(started_at=datetime.fromtimestamp(curve[0]["time"], UTC))
    if not ends:
        return _keep(attempt)
    attempt.refresh_from_db()
    best = {"name": "eval_accuracy", "value": score, "step": 300}
    result = {"kind": "result", "final_metrics": {"eval_accuracy": score}, "best_metric": best}
    reporting.accept(attempt, attempt.acked_seq + 1, [result])
    _artifact(attempt, 4 * count)
    transitions.end_attempt(attempt, "worker planted", "succeeded")
    return None


def _claim() -> Attempt:
    worker = Worker.objects.create(name=f"planted-{Worker.objects.count()}", boot_id="boot")
    claimed = claim(worker, Claim(claim_id=f"claim-{worker.pk}", boot_id="boot", slot=0, threads=1, devices=[]))
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt
