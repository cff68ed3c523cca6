"""Who is told what: the owner, those who follow a team, maintainers of lost workers; strangers and leavers nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from tests.conftest import Cast, claim_next, make_job
from tests.notices.conftest import choose
from webapp.accounts.models import Membership, User
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import reporting, transitions
from webapp.jobs.models import Attempt, Job, StateChange, Worker
from webapp.notices import signals
from webapp.notices.models import Channel, Delivery, Notice

End = Callable[[], Job]


def told(user: User) -> list[str]:
    return [each.kind for each in Notice.objects.visible_to(user).order_by("id")]


def test_the_owner_hears_of_success_without_choosing_anything(cast: Cast, succeed: End) -> None:
    job = succeed()
    notice = Notice.objects.get()
    assert (notice.user, notice.kind, notice.job) == (cast.bob, "succeeded", job)
    assert notice.sentence == "a job succeeded."
    assert not Delivery.objects.exists()


def test_a_failure_is_told_with_its_reason(cast: Cast, attempt: Attempt) -> None:
    transitions.end_attempt(attempt, "worker w1", "failed", "gpu_oom", "Out of memory at step 3.")
    assert Notice.objects.get().sentence == "a job failed. Out of memory at step 3."


def test_who_follows_the_team_hears_too_and_nobody_else(cast: Cast, succeed: End) -> None:
    choose(cast.vera, teams=[cast.team])
    choose(cast.alice)
    succeed()
    assert (told(cast.vera), told(cast.bob), told(cast.alice), told(cast.charlie)) == (
        ["succeeded"],
        ["succeeded"],
        [],
        [],
    )


def test_a_stranger_who_follows_the_team_hears_nothing(cast: Cast, succeed: End) -> None:
    choose(cast.charlie, teams=[cast.team])
    succeed()
    assert not Notice.objects.filter(user=cast.charlie).exists()


def test_an_owner_who_left_the_team_hears_nothing(cast: Cast, succeed: End) -> None:
    Membership.objects.filter(user=cast.bob).delete()
    succeed()
    assert not Notice.objects.exists()


def test_what_was_told_before_is_not_shown_to_a_leaver(cast: Cast, succeed: End) -> None:
    succeed()
    Membership.objects.filter(user=cast.bob).delete()
    assert told(cast.bob) == []


def test_a_disabled_account_hears_nothing(cast: Cast, succeed: End) -> None:
    cast.bob.is_active = False
    cast.bob.save()
    succeed()
    assert not Notice.objects.exists()


@pytest.mark.parametrize("at_work", [False, True], ids=["queued", "at work"])
def test_ones_own_cancelling_is_no_news_but_anothers_is(cast: Cast, job: Job, at_work: bool, worker: Worker) -> None:
    def cancel(job: Job, by: User) -> None:
        if at_work:
            claimed = claim_next(worker, f"claim-{job.pk}")
            assert claimed
            assert claimed.attempt
            reporting.acknowledge(claimed.attempt)
        transitions.act(job, by, "cancel")
        if at_work:
            transitions.end_attempt(job.attempts.get(), "worker w1", "cancelled")

    cancel(job, cast.bob)
    assert told(cast.bob) == []
    again = transitions.act(Job.objects.get(pk=job.pk), cast.bob, "retry")
    cancel(again, cast.alice)
    assert told(cast.bob) == ["cancelled"]


def test_a_kind_that_is_switched_off_is_not_told(cast: Cast, succeed: End) -> None:
    choose(cast.bob, succeeded=False)
    succeed()
    assert not Notice.objects.exists()


def test_a_lost_worker_is_told_to_the_owner_and_to_maintainers_who_asked(cast: Cast, attempt: Attempt) -> None:
    choose(cast.alice, worker_lost=True)
    choose(cast.vera, worker_lost=True)
    transitions.end_attempt(attempt, "reconciler", "released", "worker_lost")
    assert told(cast.bob) == ["interrupted"]
    assert told(cast.alice) == ["worker_lost"]
    assert told(cast.vera) == []
    assert Notice.objects.get(user=cast.alice).sentence == "Worker w1 stopped answering while it had a job."


def test_one_silence_of_a_worker_with_two_jobs_is_told_once(
    cast: Cast, base_model: BaseModel, version: DatasetVersion, worker: Worker
) -> None:
    choose(cast.alice, worker_lost=True)
    worker.last_hello_at = timezone.now()
    worker.save()
    attempts = []
    for number in range(2):
        make_job(cast, base_model, version, name=f"job {number}", queue_position=number)
        claimed = claim_next(worker, f"claim-{number}")
        assert claimed
        attempts.append(claimed.attempt)
    for attempt in attempts:
        assert attempt
        reporting.acknowledge(attempt)
        transitions.end_attempt(attempt, "reconciler", "released", "worker_lost")
    assert told(cast.alice) == ["worker_lost"]
    assert told(cast.bob) == ["interrupted", "interrupted"]


def test_a_later_silence_is_told_again(cast: Cast, attempt: Attempt, worker: Worker) -> None:
    choose(cast.alice, worker_lost=True)
    transitions.end_attempt(attempt, "reconciler", "released", "worker_lost")
    Worker.objects.update(last_hello_at=timezone.now() + timedelta(minutes=5))
    Job.objects.update(not_before=None)
    worker.refresh_from_db()
    claimed = claim_next(worker, "claim-2")
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    transitions.end_attempt(claimed.attempt, "reconciler", "released", "worker_lost")
    assert told(cast.alice) == ["worker_lost", "worker_lost"]


@pytest.mark.parametrize("reason", ["drained", "paused_by_user"])
def test_what_people_did_to_a_worker_or_job_is_no_interruption(cast: Cast, attempt: Attempt, reason: str) -> None:
    transitions.end_attempt(attempt, "worker w1", "released", reason)
    assert not Notice.objects.exists()


def test_the_same_end_reported_twice_is_told_once(cast: Cast, succeed: End) -> None:
    choose(cast.bob, email=True)
    cast.bob.email = "bob@example.org"
    cast.bob.save()
    job = succeed()
    end = job.history.get(after="succeeded")
    StateChange.objects.create(job=job, before="running", after="succeeded", actor="worker w1", attempt=end.attempt)
    signals.hear(end, created=True)
    assert told(cast.bob) == ["succeeded"]
    assert Delivery.objects.count() == 1


def test_each_chosen_channel_gets_one_delivery(cast: Cast, succeed: End) -> None:
    cast.bob.email = "bob@example.org"
    cast.bob.save()
    choose(cast.bob, in_app=False, email=True, webhook_url="https://hooks.example.org/x")
    job = succeed()
    assert told(cast.bob) == []
    found = {each.channel: each for each in Delivery.objects.all()}
    assert set(found) == {Channel.EMAIL, Channel.WEBHOOK}
    body = found[Channel.WEBHOOK].body
    assert body["job"]["state"] == "succeeded"
    assert body["job"]["url"] == f"http://127.0.0.1:8000/jobs/{job.pk}/"
    assert (body["kind"], body["job"]["team"]) == ("succeeded", "weather")


def test_the_notice_lives_and_dies_with_the_change(cast: Cast, job: Job) -> None:
    with transaction.atomic():
        transitions.act(job, cast.alice, "cancel")
        assert Notice.objects.count() == 1
        transaction.set_rollback(True)
    assert (StateChange.objects.count(), Notice.objects.count()) == (0, 0)


def test_a_fault_of_ours_keeps_no_job_from_ending(cast: Cast, succeed: End, monkeypatch: Any) -> None:
    def broken(_: StateChange) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(signals, "notice", broken)
    assert succeed().state == "succeeded"


def test_a_fault_of_the_database_undoes_the_change_so_that_it_is_tried_again(
    cast: Cast, succeed: End, monkeypatch: Any
) -> None:
    def broken(_: StateChange) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(signals, "notice", broken)
    with pytest.raises(DatabaseError):
        succeed()
    assert Job.objects.get().state == "running"


def test_a_change_that_interests_nobody_costs_no_query(job: Job, django_assert_num_queries: Any) -> None:
    change = StateChange.objects.create(job=job, before="queued", after="starting", actor="worker w1")
    with django_assert_num_queries(2):  # the savepoint
        signals.hear(change, created=True)


def test_many_followers_cost_no_more_queries_than_few(
    cast: Cast, succeed: End, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        person = User.objects.create_user(f"person-{number}")
        Membership.objects.create(user=person, team=cast.team)
        choose(person, teams=[cast.team], webhook_url="https://hooks.example.org/x")
    job = succeed()
    end = job.history.get(after="succeeded")
    Notice.objects.all().delete()
    with django_assert_max_num_queries(10):
        signals.hear(end, created=True)
    assert Notice.objects.count() == 31
    assert Delivery.objects.count() == 30
