"""The checker itself: it accepts a clean history, and each invariant rejects the history that breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.nemesis.checker import INVARIANTS, broken
from tests.nemesis.evidence import ArtifactFacts, AttemptFacts, Change, Evidence, JobFacts, Order
from tests.nemesis.journal import Entry
from tests.nemesis.trainer import weight_after


def entry(op: str, at: float, **facts: Any) -> Entry:
    plain = {"actor": "w0", "op": op, "ok": True, "t_sent": at, "t_mono": at + 0.01, "wall": 1000 + at + 0.01}
    return Entry(**{**plain, "job": 1, **facts})


def write(op: str, at: float, number: int, **facts: Any) -> Entry:
    return entry(op, at, attempt=number, attempt_no=number, status=200, **facts)


def stream(at: float, first: int, last: int, whole: bool = True) -> Entry:
    return entry("stream", at, actor="client-7", more={"first": first, "last": last, "whole": whole})


def listing(sha256: str) -> dict[str, Any]:
    return {"files": [{"name": "delta.json", "sha256": sha256}]}


def clean() -> Evidence:
    """A job that lost its first worker at step 7, resumed from 5 and succeeded; a second one cancelled in the queue."""
    manifest = listing("d" * 64)
    files = tuple(
        {"name": name, "sha256": sha * 64, "stored_sha256": sha * 64}
        for name, sha in (("delta.json", "d"), ("manifest.json", "e"))
    )
    path = ["queued", "starting", "running", "queued", "starting", "running", "succeeded"]
    why = {"succeeded": "finished"}
    changes = [
        Change(1, before, after, reason_code=why.get(after, ""))
        for before, after in zip(["", *path], path, strict=False)
    ]
    changes += [Change(2, "", "queued"), Change(2, "queued", "cancelled", reason_code="cancelled_by_user")]
    return Evidence(
        journal=[
            entry("submit", 0, actor="client-0", status=201),
            entry("submit", 0, actor="client-0", status=201, job=2),
            write("claim", 1, 1),
            write("ack", 1.1, 1),
            write("events", 2, 1),
            entry("cancel", 3, actor="client-1", job=2, status=200),
            write("claim", 9, 2),
            write("events", 10, 2),
            write("artifacts", 11, 2),
            stream(4, 1, 3),
            stream(12, 4, 70),
        ],
        jobs=[
            JobFacts(1, "succeeded", "run", "", 50, 70, tuple(range(1, 51)), 0, tuple(range(1, 71))),
            JobFacts(2, "cancelled", "cancel", "cancelled_by_user", last_event=2, numbers=(1, 2)),
        ],
        attempts=[
            AttemptFacts(1, 1, 1, ended_at=1008.0, created_at=1001.0, acked_seq=9, stored=9),
            AttemptFacts(2, 1, 2, ended_at=1012.0, created_at=1009.0, acked_seq=60, stored=60),
        ],
        changes=changes,
        artifacts=[ArtifactFacts(1, 1, files, manifest, weight_after(1, 50))],
        orders=[Order("web restarted", (3, 4, 5), (4, 5))],
        shown={1: "succeeded", 2: "cancelled"},
    )


def job_with(evidence: Evidence, **facts: Any) -> None:
    evidence.jobs[0] = replace(evidence.jobs[0], **facts)


def artifact_with(evidence: Evidence, **facts: Any) -> None:
    evidence.artifacts[0] = replace(evidence.artifacts[0], **facts)


def back_from_the_end(evidence: Evidence) -> None:
    evidence.changes += [Change(2, "cancelled", "queued"), Change(2, "queued", "cancelled", reason_code="x")]


def damaged(files: tuple[dict[str, Any], ...], **facts: Any) -> tuple[dict[str, Any], ...]:
    return ({**files[0], **facts}, *files[1:])


BREAKS: list[tuple[str, str, Any]] = [
    ("a", "a job is gone", lambda e: e.journal.append(entry("submit", 1, job=99, status=201))),
    ("a", "a job never ended", lambda e: job_with(e, state="running")),
    ("a", "the API says another state", lambda e: e.shown.update({1: "running"})),
    ("a", "a job ended twice", lambda e: e.changes.append(Change(1, "running", "failed"))),
    ("b", "an old attempt writes after a newer one", lambda e: e.journal.append(write("events", 10.5, 1))),
    ("c", "a write after the attempt's end", lambda e: e.journal.append(write("checkpoints", 8.5, 1))),
    ("d", "a step is missing", lambda e: job_with(e, steps=tuple(n for n in range(1, 51) if n != 13))),
    ("d", "a step is there twice", lambda e: job_with(e, steps=tuple(sorted([*range(1, 51), 7])))),
    ("d", "the last steps are missing", lambda e: job_with(e, steps=tuple(range(1, 49)))),
    ("d", "steps are out of order", lambda e: job_with(e, steps=(2, 1, *range(3, 51)))),
    ("d", "no step at all", lambda e: job_with(e, steps=(), total_steps=50)),
    ("d", "an event number is missing", lambda e: job_with(e, numbers=tuple(range(2, 71)))),
    ("d", "an acknowledged event is not stored", lambda e: e.attempts.append(AttemptFacts(3, 1, 3, acked_seq=2))),
    ("e", "an attempt after a cancel", lambda e: e.attempts.append(AttemptFacts(3, 2, 1, created_at=1004.0))),
    ("f", "another file is stored", lambda e: artifact_with(e, files=damaged(e.artifacts[0].files, stored_sha256="0"))),
    ("f", "a file is gone", lambda e: artifact_with(e, files=damaged(e.artifacts[0].files, stored_sha256=None))),
    ("f", "the manifest lists another file", lambda e: artifact_with(e, manifest=listing("0"))),
    ("f", "no manifest", lambda e: artifact_with(e, manifest={})),
    ("f", "success without an artifact", lambda e: e.artifacts.clear()),
    ("f", "other weights than undisturbed training makes", lambda e: artifact_with(e, content=weight_after(1, 49))),
    ("g", "a process lives on", lambda e: e.leftovers.append("4711 python trainer.py")),
    ("h", "a 500", lambda e: e.journal.append(entry("list", 5, ok=False, status=500))),
    ("h", "a 502", lambda e: e.journal.append(entry("list", 5, ok=False, status=502))),
    ("i", "a pair that is no transition", lambda e: back_from_the_end(e)),
    ("i", "a change that nobody wrote down", lambda e: e.changes.pop(3)),
    ("i", "the history ends elsewhere", lambda e: e.changes.append(Change(1, "succeeded", "failed", reason_code="x"))),
    ("i", "an end without a reason", lambda e: e.changes.__setitem__(-1, Change(2, "queued", "cancelled"))),
    ("j", "the queue has changed places", lambda e: e.orders.append(Order("broker wiped", (3, 4, 5), (5, 4)))),
    ("k", "a token in a log", lambda e: e.told.append("logs/web.log")),
    ("live", "a gap after a reconnect", lambda e: e.journal.append(stream(13, 72, 73))),
    ("live", "an event again", lambda e: e.journal.append(stream(13, 70, 73))),
    ("live", "a gap within", lambda e: e.journal.append(stream(13, 71, 73, whole=False))),
    ("use", "a trainer's own error", lambda e: job_with(e, state="failed", reason_code="trainer_error")),
    ("use", "hardly a success", lambda e: job_with(e, state="failed", reason_code="crashed_worker")),
]  # fmt: skip


def test_a_clean_history_breaks_nothing() -> None:
    assert broken(clean()) == {name: [] for name in INVARIANTS}


@pytest.mark.parametrize(("name", "what", "break_it"), BREAKS, ids=[f"{each[0]}: {each[1]}" for each in BREAKS])
def test_a_broken_history_is_rejected(name: str, what: str, break_it: Any) -> None:
    evidence = clean()
    break_it(evidence)
    assert broken(evidence)[name], what


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {each[0] for each in BREAKS} == set(INVARIANTS)


def test_what_a_person_moved_may_change_places() -> None:
    evidence = clean()
    evidence.orders.append(Order("web restarted", (3, 4, 5), (5, 4), touched=frozenset({5})))
    assert broken(evidence)["j"] == []


def test_a_503_is_an_answer_and_no_answer_is_none() -> None:
    evidence = clean()
    evidence.journal += [entry("list", 5, ok=False, status=503), entry("list", 6, ok=False, status=None)]
    assert broken(evidence)["h"] == []


def test_a_write_that_began_before_the_end_may_be_answered_after_it() -> None:
    evidence = clean()
    evidence.journal.append(replace(write("events", 7.99, 1), t_mono=8.2, wall=1008.2))
    assert broken(evidence)["c"] == []


def test_a_retry_goes_on_with_the_weights_of_the_job_it_retries() -> None:
    evidence = clean()
    job_with(evidence, begins_after=5, retry_of=9, steps=tuple(range(6, 51)))
    evidence.jobs.append(JobFacts(9, "failed", reason_code="crashed_worker", steps=tuple(range(1, 8)), last_event=0))
    evidence.changes += [
        Change(9, "", "queued"),
        Change(9, "queued", "starting"),
        Change(9, "starting", "running"),
        Change(9, "running", "failed", reason_code="crashed_worker"),
    ]
    artifact_with(evidence, content=weight_after(9, 50))
    assert broken(evidence) == {name: [] for name in INVARIANTS}
