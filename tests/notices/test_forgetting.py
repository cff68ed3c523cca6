"""Old notices go with their deliveries; young ones stay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.conftest import Cast
from webapp.jobs.models import Job
from webapp.notices.forgetting import KEPT, forget_old
from webapp.notices.models import Channel, Delivery, Kind, Notice


def notice(cast: Cast, job: Job, key: str, age: timedelta) -> Notice:
    made = Notice.objects.create(user=cast.bob, key=key, job=job, kind=Kind.FAILED, sentence=key)
    Delivery.objects.create(notice=made, channel=Channel.EMAIL, address="bob@example.org", host="", body={})
    Notice.objects.filter(pk=made.pk).update(created_at=timezone.now() - age)
    return made


def test_what_is_older_than_ninety_days_goes_with_its_deliveries(cast: Cast, job: Job) -> None:
    notice(cast, job, "old", KEPT + timedelta(hours=1))
    notice(cast, job, "young", KEPT - timedelta(hours=1))
    assert forget_old() == 1
    assert [each.key for each in Notice.objects.all()] == ["young"]
    assert [each.notice.key for each in Delivery.objects.all()] == ["young"]


@pytest.mark.django_db
def test_with_nothing_old_nothing_happens() -> None:
    assert forget_old() == 0
