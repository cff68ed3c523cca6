"""What the API says of jobs, artifacts and workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet

from webapp.accounts.models import User
from webapp.jobs import outlook
from webapp.jobs.estimating import why_not_merged
from webapp.jobs.merging import Merging, merging_of
from webapp.jobs.models import Artifact, Inspection, Job, JobState, Worker
from webapp.jobs.scheduling import newest_checkpoint
from workers.methods.method import Method
from workers.methods.options import describe

PLACED_AT_MOST = 100
"""Queued jobs, up to which a launch is answered with its place among them."""
HIDDEN = {"id": None, "job_id": None, "number": None}
"""What is said of another team's attempt on a shared worker: that its devices are in use."""


def job_answers(jobs: list[Job], viewer: User | None) -> list[dict[str, Any]]:
    """One look at the queue for all of them."""
    waiting = outlook.outlook(jobs, viewer)
    return [job_answer(job, waiting.get(job.pk)) for job in jobs]


def job_answer(job: Job, waiting: outlook.Waiting | None) -> dict[str, Any]:
    left = job.left
    return {
        "id": job.pk,
        "name": job.name,
        "team": job.team.slug,
        "created_by": job.created_by.username if job.created_by else None,
        "state": job.state,
        "wish": job.wish,
        "phase": job.phase,
        "reason": {"code": job.reason_code, "sentence": job.reason_sentence} if job.reason_code else None,
        "queue_position": waiting.queue_position if waiting else None,
        "queue_sentence": waiting.ahead_sentence if waiting else None,
        "why_waiting": waiting.why if waiting else None,
        "waiting_code": waiting.code if waiting else None,
        "starts_in_seconds": waiting.starts_in_seconds if waiting else None,
        "fits_on": waiting.fits_on if waiting else None,
        "priority": job.priority,
        "pool": job.pool,
        "gpus": job.gpus,
        "run_after": job.run_after,
        "least_memory_bytes": job.least_memory_bytes,
        "attempt": job.attempts_made,
        "progress": {
            "step": job.step,
            "total_steps": job.total_steps,
            "epoch": job.epoch,
            "eta_seconds": left.likely if left else None,
            "eta_range_seconds": [left.low, left.high] if left and not left.rough else None,
        },
        "trainable_parameters": job.trainable_parameters,
        "total_parameters": job.total_parameters,
        "trainable_percent": job.trainable_percent,
        "peak_memory_bytes": job.peak_memory_bytes,
        "memory_kind": job.memory_kind,
        "best_metric": job.best_metric,
        "final_metrics": job.final_metrics,
        "forward_pass": job.forward_pass or None,
        "notes": job.notes,
        "remark": job.remark,
        "base_model": job.base_model_id,
        "dataset_version": job.dataset_version_id,
        "method": job.method,
        "task": job.task,
        "retry_of": job.retry_of_id,
        "study": job.study_id,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
    }


def launched_answer(job: Job) -> dict[str, Any]:
    """In full; behind many others its place, reason and time are null, since working them out looks at all of them."""
    queued = Job.objects.filter(state=JobState.QUEUED)[: PLACED_AT_MOST + 1].count()
    return job_answer_in_full(job, placed=queued <= PLACED_AT_MOST)


def job_answer_in_full(job: Job, placed: bool = True) -> dict[str, Any]:
    """With what a list leaves out: artifacts, the numbers of its end, where it would resume, the frozen spec."""
    checkpoint = newest_checkpoint(job)
    artifacts = sorted(job.artifacts.all() if job.attempts_made else (), key=lambda each: each.kind != "delta")
    briefly = [
        {"id": each.pk, "kind": each.kind, "bytes": each.bytes, "damaged": each.damaged_at is not None}
        for each in artifacts
    ]
    live = job.current_attempt if job.at_work else None
    return job_answer(job, outlook.waiting(job) if placed else None) | {
        "artifacts": briefly,
        "reason_detail": job.reason_detail,
        "checkpoint_step": checkpoint.step if checkpoint else None,
        "heartbeat_age_seconds": live.heartbeat_age_seconds if live else None,
        "spec": job.full_spec,
    }


def artifact_answer(artifact: Artifact) -> dict[str, Any]:
    files = [{name: file[name] for name in ("name", "bytes", "sha256")} for file in artifact.files]
    is_delta = artifact.kind == Artifact.Kind.DELTA
    why_not = why_not_merged(artifact.job) if is_delta else "It is a merged model already."
    return {
        "id": artifact.pk,
        "job": artifact.job_id,
        "kind": artifact.kind,
        "bytes": artifact.bytes,
        "files": files,
        "manifest": artifact.manifest,
        "checked_at": artifact.checked_at,
        "damaged": artifact.damaged_at is not None,
        "mergeable": not why_not,
        "not_mergeable": why_not or None,
        "merging": merging_answer(merging_of(artifact)) if is_delta else None,
        "created_at": artifact.created_at,
    }


def merging_answer(merging: Merging) -> dict[str, Any]:
    asked = merging.inspection
    return {
        "state": merging.state,
        "artifact": merging.merged.pk if merging.merged else None,
        "problem": asked.problem if asked and merging.state == Inspection.State.FAILED else None,
    }


def worker_answer(worker: Worker, visible: QuerySet[Job], managed: bool) -> dict[str, Any]:
    """To somebody who sees these jobs; where it runs is for those who manage it."""
    report = worker.report
    going_on = list(worker.attempts.exclude(state="ended").values("id", "job_id", "number", "devices"))
    seen = set(visible.filter(pk__in=[each["job_id"] for each in going_on]).values_list("pk", flat=True))
    return {
        "id": worker.pk,
        "name": worker.name,
        "pool": worker.pool,
        "online": worker.online,
        "suspended": worker.suspended_at is not None,
        "draining": worker.drain or bool(report.get("draining")),
        "deaf": bool(report.get("deaf")),
        "heartbeat_age_seconds": worker.heartbeat_age_seconds,
        "hostname": report.get("hostname") if managed else None,
        "slots": report.get("slots"),
        "busy_slots": report.get("busy_slots"),
        "devices": report.get("devices", []),
        "isolation": report.get("isolation", {}),
        "attempts": [each if each["job_id"] in seen else each | HIDDEN for each in going_on],
    }


def method_answer(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "family": method.family,
        "summary": method.summary,
        "formula": method.formula,
        "paper": method.paper,
        "options": [asdict(fact) for fact in describe(method.options)],
        "choose_when": method.choose_when,
        "inference_cost": method.inference_cost,
        "mergeable": method.mergeable,
        "not_mergeable": method.not_mergeable or None,
        "tasks": method.tasks,
        "servable": method.servable,
        "serving": method.serving or None,
        "shortfall": method.shortfall or None,
    }
