"""The state machine: what a person may do, what an attempt's end means, and who wins a race."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast, claim_next, make_job
from webapp.accounts.permissions import NotAllowed
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Artifact, Attempt, Job, Worker


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def history(job: Job) -> list[str]:
    return [change.after for change in job.history.all()]


def test_a_queued_job_is_cancelled_at_once(job: Job, cast: Cast) -> None:
    job = transitions.act(job, cast.bob, "cancel")
    assert (job.state, job.reason_code) == ("cancelled", "cancelled_by_user")
    assert job.reason_sentence == "Cancelled by bob."
    assert job.ended_at is not None


def test_cancelling_twice_changes_nothing(job: Job, cast: Cast) -> None:
    transitions.act(job, cast.bob, "cancel")
    transitions.act(job, cast.bob, "cancel")
    assert history(job) == ["cancelled"]


def test_a_viewer_may_not_cancel(job: Job, cast: Cast) -> None:
    assert transitions.actions(job, cast.vera) == []
    with pytest.raises(NotAllowed, match="role member"):
        transitions.act(job, cast.vera, "cancel")


def test_cancelling_a_running_job_is_a_wish_until_its_attempt_ends(job: Job, attempt: Attempt, cast: Cast) -> None:
    job = transitions.act(attempt.job, cast.bob, "cancel")
    assert (job.state, job.wish) == ("running", "cancel")
    assert transitions.actions(job, cast.bob) == []
    job = transitions.end_attempt(attempt, "worker w1", "cancelled")
    assert job.state == "cancelled"


def test_cancel_beats_an_end_that_came_later(attempt: Attempt, cast: Cast) -> None:
    transitions.act(attempt.job, cast.bob, "cancel")
    Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=1, files=[], manifest={})
    assert transitions.end_attempt(attempt, "worker w1", "succeeded").state == "cancelled"


def test_success_needs_an_artifact(attempt: Attempt) -> None:
    job = transitions.end_attempt(attempt, "worker w1", "succeeded")
    assert (job.state, job.reason_code) == ("failed", "no_output")


def test_a_job_with_an_artifact_succeeds(attempt: Attempt) -> None:
    Artifact.objects.create(job=attempt.job, attempt=attempt, bytes=1, files=[], manifest={})
    job = transitions.end_attempt(attempt, "worker w1", "succeeded")
    assert (job.state, job.reason_code) == ("succeeded", "finished")
    assert job.reason_sentence == "The training ran to its end, and its delta artifact is complete."
    assert history(job) == ["starting", "running", "succeeded"]


@pytest.mark.parametrize("reason", ["gpu_oom", "diverged", "bad_data", "no_trainable_tokens"])
def test_what_the_person_must_mend_is_never_tried_again(attempt: Attempt, reason: str) -> None:
    job = transitions.end_attempt(attempt, "worker w1", "failed", reason)
    assert (job.state, job.reason_code) == ("failed", reason)
    assert job.reason_sentence


def test_a_lost_worker_puts_the_job_back_twice_and_fails_it_the_third_time(job: Job, worker: Worker) -> None:
    states = []
    for number in range(3):
        Job.objects.filter(not_before__gt=timezone.now()).update(not_before=timezone.now())
        claimed = claim_next(worker, f"claim-{number}")
        assert claimed
        assert claimed.attempt
        reporting.acknowledge(claimed.attempt)
        states.append(transitions.end_attempt(claimed.attempt, "reconciler", "released", "worker_lost").state)
    job.refresh_from_db()
    assert states == ["queued", "queued", "failed"]
    assert job.reason_code == "crashed_worker"


def test_a_drained_attempt_does_not_count(attempt: Attempt) -> None:
    job = transitions.end_attempt(attempt, "worker w1", "released", "drained")
    assert (job.state, job.infrastructure_ends) == ("queued", 0)


def test_an_attempt_ends_once(attempt: Attempt) -> None:
    transitions.end_attempt(attempt, "worker w1", "released", "drained")
    with pytest.raises(transitions.StaleAttempt):
        transitions.end_attempt(attempt, "reconciler", "released", "worker_lost")


def test_pause_and_resume(attempt: Attempt, cast: Cast) -> None:
    transitions.act(attempt.job, cast.bob, "pause")
    job = transitions.end_attempt(attempt, "worker w1", "released", "paused_by_user")
    assert job.state == "paused"
    job = transitions.act(job, cast.bob, "resume")
    assert (job.state, job.wish) == ("queued", "run")


def test_retry_makes_a_new_job_and_leaves_the_old_one(job: Job, cast: Cast) -> None:
    transitions.act(job, cast.bob, "cancel")
    again = transitions.act(job, cast.alice, "retry")
    job.refresh_from_db()
    assert again.pk != job.pk
    assert (again.state, again.retry_of_id, again.full_spec["job_id"]) == ("queued", job.pk, again.pk)
    assert job.state == "cancelled"


def test_a_state_changes_only_from_the_one_that_was_seen(job: Job, cast: Cast) -> None:
    stale = Job.objects.get(pk=job.pk)
    transitions.act(job, cast.bob, "cancel")
    with pytest.raises(transitions.NotNow):
        transitions.move(stale, "queued", "paused", "bob")


def test_no_other_pair_of_states_exists(job: Job) -> None:
    with pytest.raises(ValueError, match="no transition"):
        transitions.move(job, "queued", "succeeded", "bob")


def test_every_event_has_the_next_number(attempt: Attempt, cast: Cast) -> None:
    reporting.accept(attempt, 1, [{"kind": "log", "text": "hello"}, {"kind": "phase", "phase": "training"}])
    transitions.end_attempt(attempt, "worker w1", "released", "drained")
    numbers = list(attempt.job.events.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_order_is_priority_then_place(
    cast: Cast, base_model: BaseModel, version: DatasetVersion, worker: Worker
) -> None:
    late = make_job(cast, base_model, version, name="late", queue_position=2)
    early = make_job(cast, base_model, version, name="early", queue_position=1)
    urgent = make_job(cast, base_model, version, name="urgent", queue_position=3, priority=1)
    taken: list[Any] = [claim_next(worker, f"claim-{n}") for n in range(3)]
    assert [each.attempt.job_id for each in taken] == [urgent.pk, early.pk, late.pk]
    assert claim_next(worker, "claim-4") is None
