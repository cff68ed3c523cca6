"""The site dies at the k-th SQL statement of each thing it does to a job, for every k; afterwards the rows are legal.

Once by an exception, once by the end of the process (its transaction is cut off, as by a kill or a SIGTERM).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from django.db import connection

from tests.conftest import Cast, claim_next, make_job
from tests.faults.legality import awake_reconciler, check_legal, let_every_lease_run_out
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.launching import Launch, launch
from webapp.jobs.models import Artifact, Attempt, Job, Worker
from webapp.jobs.reconciling import Reconciler

pytestmark = pytest.mark.django_db(transaction=True)
STATEMENTS_AT_MOST = 200
EVENTS: list[dict[str, Any]] = [
    {"kind": "plan", "total_steps": 10},
    {"kind": "log", "text": "hello"},
    {"kind": "metrics", "step": 1, "values": {"loss": 1.5}},
]


class Crashed(Exception):
    """The site broke here."""


@dataclass
class World:
    """A fresh job and worker for each crash; those of earlier ones stay as they were left."""

    cast: Cast
    base_model: BaseModel
    version: DatasetVersion
    turn: int = 0
    job: Job = None  # type: ignore[assignment]
    worker: Worker = None  # type: ignore[assignment]
    reconciler: Reconciler = None  # type: ignore[assignment]

    def renew(self) -> None:
        self.turn += 1
        pool = f"pool-{self.turn}"
        self.job = make_job(self.cast, self.base_model, self.version, pool=pool)
        self.worker = Worker.objects.create(name=f"w{self.turn}", boot_id="boot-1", pool=pool)

    def claimed(self) -> Attempt:
        claimed = claim_next(self.worker, "c1")
        assert claimed
        assert claimed.attempt
        return claimed.attempt

    def running(self) -> Attempt:
        attempt = self.claimed()
        reporting.acknowledge(attempt)
        return attempt


@pytest.fixture
def world(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> World:
    return World(cast, base_model, version)


Act = Callable[[], object]


def _claim(world: World) -> Act:
    return lambda: claim_next(world.worker, "c1")


def _ack(world: World) -> Act:
    attempt = world.claimed()
    return lambda: reporting.acknowledge(attempt)


def _events(world: World) -> Act:
    attempt = world.running()
    return lambda: reporting.accept(attempt, 1, [dict(event) for event in EVENTS])


def _end(world: World) -> Act:
    attempt = world.running()
    Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=1, files=[], manifest={})
    return lambda: transitions.end_attempt(attempt, "worker", "succeeded")


def _give_back(world: World) -> Act:
    attempt = world.running()
    return lambda: transitions.end_attempt(attempt, "worker", "failed", "trainer_killed")


def _cancel(world: World) -> Act:
    world.running()
    return lambda: transitions.act(world.job, world.cast.bob, "cancel")


def _cancel_queued(world: World) -> Act:
    return lambda: transitions.act(world.job, world.cast.bob, "cancel")


def _pause(world: World) -> Act:
    world.running()
    return lambda: transitions.act(world.job, world.cast.bob, "pause")


def _pause_queued(world: World) -> Act:
    return lambda: transitions.act(world.job, world.cast.bob, "pause")


def _launch(world: World) -> Act:
    wanted = Launch(world.cast.team, world.base_model, world.version, "lora", queue={"pool": world.worker.pool})
    return lambda: launch(world.cast.bob, wanted)


def _retry(world: World) -> Act:
    transitions.act(world.job, world.cast.bob, "cancel")
    return lambda: transitions.act(world.job, world.cast.bob, "retry")


def _sweep(world: World) -> Act:
    world.running()
    reconciler = awake_reconciler()
    let_every_lease_run_out()
    return reconciler.turn


ACTS = {
    "claim": _claim,
    "ack": _ack,
    "events": _events,
    "end": _end,
    "give back": _give_back,
    "cancel": _cancel,
    "cancel queued": _cancel_queued,
    "pause": _pause,
    "pause queued": _pause_queued,
    "launch": _launch,
    "retry": _retry,
    "sweep": _sweep,
}


@contextmanager
def crash_at(statement: int, crash: Callable[[], None]) -> Iterator[list[str]]:
    """Crash before the statement with this number is run; yields the statements that came."""
    seen: list[str] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        if len(seen) == statement:
            crash()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield seen


def _raise() -> None:
    raise Crashed


def _check_afterwards(world: World) -> None:
    """Legal at once; legal after a sweep; and with every lease over nothing is left at work."""
    for job in Job.objects.filter(pool=world.job.pool):
        check_legal(job.pk)
    reconciler = awake_reconciler()
    check_legal(world.job.pk)
    let_every_lease_run_out()
    reconciler.turn()
    assert check_legal(world.job.pk).state not in ("starting", "running")
    for retry in world.job.retries.all():
        check_legal(retry.pk)


@pytest.mark.fault(8)
@pytest.mark.parametrize("name", ACTS)
def test_an_error_at_any_statement_leaves_the_job_legal(world: World, name: str) -> None:
    for statement in count(1):
        world.renew()
        act = ACTS[name](world)
        with crash_at(statement, _raise) as seen, suppress(Crashed):
            act()
        _check_afterwards(world)
        if len(seen) < statement:
            break
        assert statement < STATEMENTS_AT_MOST
    assert statement > 3, "too few statements to have crashed in"


@pytest.mark.fault(8)
@pytest.mark.parametrize("name", ACTS)
def test_the_end_of_the_process_at_any_statement_leaves_the_job_legal(world: World, name: str) -> None:
    for statement in count(1):
        world.renew()
        act = ACTS[name](world)
        status = _in_a_child(act, statement)
        _check_afterwards(world)
        if status == 0:
            break
        assert os.WIFSIGNALED(status), f"the child ended with {status}"
        assert statement < STATEMENTS_AT_MOST
    assert statement > 3, "too few statements to have crashed in"


def _in_a_child(act: Act, statement: int) -> int:
    """Run the act in a process that SIGTERM ends at the statement; its wait status."""
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined]
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with crash_at(statement, lambda: os.kill(os.getpid(), signal.SIGTERM)):
            act()
    finally:
        os._exit(0)
