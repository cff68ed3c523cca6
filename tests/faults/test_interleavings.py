"""A job under any order of claims, reports, wishes, sweeps, clock jumps and restarts: legal after every step.

A failing order is printed with the line that replays it (`@reproduce_failure`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.conftest import Cast, claim_next, make_job
from tests.faults.legality import awake_reconciler, check_legal, let_every_lease_run_out
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import enrolling, reporting, transitions
from webapp.jobs.models import ENDED, Artifact, Attempt, Job, Worker
from webapp.jobs.reported import BadReport
from workers.protocol import INFRASTRUCTURE_REASONS, USER_REASONS

EXAMPLES, STEPS = int(os.environ.get("DELTABOARD_EXAMPLES", 25)), 20
"""Few at each run; `DELTABOARD_EXAMPLES=1000 manage.py test tests/faults/test_interleavings.py` takes its time."""
ENDS = [
    ("succeeded", ""),
    ("cancelled", "cancelled_by_user"),
    ("released", "drained"),
    ("released", "paused_by_user"),
    ("failed", "no such reason"),
    *(("failed", reason) for reason in sorted(INFRASTRUCTURE_REASONS | USER_REASONS)),
]
which = st.integers(0, 3)


def machine(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> type[RuleBasedStateMachine]:
    """The machine for this cast; each run has a job and a worker of its own, in a pool of its own."""

    class OneJob(RuleBasedStateMachine):
        runs = 0

        def __init__(self) -> None:
            super().__init__()
            OneJob.runs += 1
            pool = f"pool-{OneJob.runs}"
            self.job = make_job(cast, base_model, version, pool=pool)
            self.worker = Worker.objects.create(name=f"w{OneJob.runs}", boot_id="boot-0", pool=pool)
            self.reconciler = awake_reconciler()
            self.claims = self.boots = 0
            self.attempts: list[Attempt] = []
            self.ended_as = ""
            self.attempts_at_cancel: int | None = None

        def attempt(self, back: int) -> Attempt:
            """One of its attempts, the newest or an older one, as a process with an old token would know it."""
            return self.attempts[max(0, len(self.attempts) - 1 - back)]

        @rule()
        def claim(self) -> None:
            self.claims += 1
            claimed = claim_next(self.worker, f"c{self.claims}", self.worker.boot_id)
            if claimed and claimed.attempt:
                self.attempts.append(claimed.attempt)

        @rule()
        @precondition(lambda self: self.attempts)
        def claim_again(self) -> None:
            """The same claim asked again never makes a second attempt."""
            before = Attempt.objects.filter(job=self.job).count()
            newest = self.attempt(0)
            newest.refresh_from_db()
            if newest.state == "starting":
                claim_next(self.worker, newest.claim_id, self.worker.boot_id)
                assert Attempt.objects.filter(job=self.job).count() == before

        @rule(back=which)
        @precondition(lambda self: self.attempts)
        def ack(self, back: int) -> None:
            self.refused_if_over(back, lambda attempt: reporting.acknowledge(attempt), starting_is_fine=True)

        @rule(back=which, first=st.integers(1, 4))
        @precondition(lambda self: self.attempts)
        def events(self, back: int, first: int) -> None:
            said: list[dict[str, Any]] = [
                {"kind": "log", "text": "x"},
                {"kind": "metrics", "step": 1, "values": {"loss": 1}},
            ]
            self.refused_if_over(back, lambda attempt: reporting.accept(attempt, first, said))

        @rule(back=which, end=st.sampled_from(ENDS), artifact=st.booleans())
        @precondition(lambda self: self.attempts)
        def end(self, back: int, end: tuple[str, str], artifact: bool) -> None:
            attempt = self.attempt(back)
            attempt.refresh_from_db()
            if attempt.state == "starting":
                return  # refused at the door: no report counts before the ack
            if artifact and attempt.state == "running":
                Artifact.objects.create(job=self.job, attempt=attempt, bytes=1, files=[], manifest={})
            self.refused_if_over(back, lambda attempt: transitions.end_attempt(attempt, "worker", *end))

        def refused_if_over(self, back: int, call: Any, starting_is_fine: bool = False) -> None:
            attempt = Attempt.objects.get(pk=self.attempt(back).pk)
            over = attempt.state == "ended" or (attempt.state == "starting" and not starting_is_fine)
            last_event = Job.objects.get(pk=self.job.pk).last_event
            try:
                call(attempt)
            except (transitions.StaleAttempt, BadReport):
                assert Job.objects.get(pk=self.job.pk).last_event == last_event
            else:
                assert not over, f"an attempt that is {attempt.state} was heard"

        @rule(action=st.sampled_from(["cancel", "pause", "resume", "retry"]))
        def act(self, action: str) -> None:
            with suppress(transitions.NotNow):
                transitions.act(self.job, cast.bob, action)
                if action == "cancel" and self.attempts_at_cancel is None:
                    self.attempts_at_cancel = len(self.attempts)

        @rule()
        def sweep(self) -> None:
            assert self.reconciler.turn()

        @rule()
        def silence(self) -> None:
            """No heartbeat for longer than a lease."""
            let_every_lease_run_out()

        @rule(hours=st.sampled_from([-1, 1]))
        def clock_jump(self, hours: int) -> None:
            """As if the database's clock had jumped: every stored time is that much further away."""
            states = Attempt.objects.filter(job=self.job).order_by("pk").values_list("state", flat=True)
            live = Attempt.objects.filter(job=self.job).exclude(state="ended", lease_until__lt=timezone.now())
            live.update(lease_until=F("lease_until") - timedelta(hours=hours))
            assert self.reconciler.clock_offset is not None
            self.reconciler.clock_offset -= hours * 3600
            before = list(states)
            self.reconciler.turn()
            assert list(states.all()) == before, "a jump of the clock ended an attempt"

        @rule()
        def newer_boot(self) -> None:
            self.boots += 1
            enrolling.hello(self.worker, {"boot_id": f"boot-{self.boots}", "hostname": "h"})
            self.worker.refresh_from_db()

        @rule()
        def wait_for_the_third_attempt(self) -> None:
            Job.objects.filter(pk=self.job.pk).update(not_before=None)

        @invariant()
        def legal(self) -> None:
            job = check_legal(self.job.pk)
            assert not self.ended_as or job.state == self.ended_as, "an end was left again"
            self.ended_as = job.state if job.state in ENDED else ""
            if self.attempts_at_cancel is not None:
                assert job.attempts_made == self.attempts_at_cancel, "it started after a cancel was acknowledged"

    return OneJob


@pytest.mark.django_db
def test_any_order_of_events_leaves_a_job_legal(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> None:
    bounded = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine(cast, base_model, version), settings=bounded)
