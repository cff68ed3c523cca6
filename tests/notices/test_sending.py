"""The outbox: sent at least once under one id, again ever later, given up aloud; a dead endpoint delays nobody."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from tests.conftest import Cast
from tests.notices.conftest import SECRET, choose
from tests.notices.endpoints import Endpoint, endpoint, talker
from webapp.accounts.models import AuditEntry, Membership
from webapp.jobs.models import Job
from webapp.notices import sending, webhooks
from webapp.notices.models import Delivery, Notice, NoticeChoice
from webapp.notices.sending import TRIES, WAITS_SECONDS, send_due

End = Callable[[], Job]


@pytest.fixture(autouse=True)
def loopback_allowed(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as hook:
        yield hook


def due_now() -> None:
    Delivery.objects.filter(next_try_at__isnull=False).update(next_try_at=timezone.now())


def ids(hook: Endpoint) -> list[str]:
    return [each.headers["Deltaboard-Delivery"] for each in hook.received]


def test_a_webhook_is_sent_once_and_signed(cast: Cast, succeed: End, hook: Endpoint) -> None:
    choose(cast.bob, webhook_url=hook.url)
    job = succeed()
    assert send_due() == 1
    assert send_due() == 0
    delivery = Delivery.objects.get()
    assert (delivery.sent_at is not None, delivery.next_try_at, delivery.tries) == (True, None, 1)
    got = json.loads(hook.received[0].body)
    assert (got["id"], got["kind"], got["job"]["id"]) == (str(delivery.uuid), "succeeded", job.pk)
    moment, _, mac = hook.received[0].headers["Deltaboard-Signature"].removeprefix("t=").partition(",v1=")
    assert webhooks.signature(SECRET, int(moment), hook.received[0].body).endswith(mac)


def test_an_endpoint_that_fails_twice_gets_it_the_third_time_under_the_same_id(cast: Cast, succeed: End) -> None:
    with endpoint(500, 503, 204) as hook:
        choose(cast.bob, webhook_url=hook.url)
        succeed()
        for number, wait in enumerate((10, 30)):
            before = timezone.now()
            assert send_due() == 1
            delivery = Delivery.objects.get()
            assert delivery.next_try_at
            waits = (delivery.next_try_at - before).total_seconds()
            assert wait <= waits < wait + 20
            assert delivery.last_error == f"The endpoint answered {(500, 503)[number]}."
            assert send_due() == 0  # not before its time
            due_now()
        assert send_due() == 1
    delivery.refresh_from_db()
    assert (delivery.sent_at is not None, delivery.tries, delivery.last_error) == (True, 3, "")
    assert len(set(ids(hook))) == 1
    assert len(hook.received) == 3


def test_waits_grow_from_ten_seconds_to_an_hour() -> None:
    assert (WAITS_SECONDS[0], WAITS_SECONDS[-1], TRIES) == (10, 3600, 8)
    assert list(WAITS_SECONDS) == sorted(WAITS_SECONDS)


def test_after_eight_tries_it_is_given_up_and_the_owner_sees_why(cast: Cast, succeed: End) -> None:
    with endpoint(500) as hook:
        choose(cast.bob, webhook_url=hook.url)
        succeed()
        for _ in range(TRIES + 2):
            due_now()
            send_due()
    assert len(hook.received) == TRIES
    delivery = Delivery.objects.get()
    assert (delivery.gave_up_at is not None, delivery.next_try_at, delivery.sent_at) == (True, None, None)
    assert delivery.last_error == "The endpoint answered 500."


def test_two_senders_do_not_claim_the_same(cast: Cast, succeed: End, hook: Endpoint) -> None:
    choose(cast.bob, webhook_url=hook.url)
    succeed()
    seen = Delivery.objects.get()
    assert send_due() == 1
    assert not sending._claim(seen)


@pytest.mark.parametrize("what", ["left the team", "was disabled", "changed the address"])
def test_who_may_not_or_does_not_want_to_know_any_more_gets_nothing(
    cast: Cast, succeed: End, hook: Endpoint, what: str
) -> None:
    choose(cast.bob, webhook_url=hook.url)
    succeed()
    if what == "left the team":
        Membership.objects.filter(user=cast.bob).delete()
    elif what == "was disabled":
        cast.bob.is_active = False
        cast.bob.save()
    else:
        NoticeChoice.objects.update(webhook_url="https://elsewhere.example.org/")
    send_due()
    assert hook.received == []
    assert Delivery.objects.get().gave_up_at is not None


def test_a_secret_that_no_key_opens_is_said_not_sent(cast: Cast, succeed: End, hook: Endpoint) -> None:
    choose(cast.bob, webhook_url=hook.url, sealed_secret="from another site")
    succeed()
    send_due()
    assert hook.received == []
    assert "Make a new one" in Delivery.objects.get().last_error


def many(told: Notice, url: str, host: str, count: int) -> None:
    """More deliveries to one host, each for a follower of their own."""
    for number in range(count):
        person = type(told.user).objects.create_user(f"{host}-{number}")
        Membership.objects.create(user=person, team=told.job.team)
        choose(person, webhook_url=url)
        notice = Notice.objects.create(user=person, key=told.key, job=told.job, kind=told.kind, sentence="x")
        now = timezone.now() - timedelta(minutes=1)  # it was there first
        Delivery.objects.create(notice=notice, channel="webhook", address=url, host=host, body={}, next_try_at=now)


def test_a_dead_endpoint_delays_nobody_else(cast: Cast, succeed: End, hook: Endpoint, monkeypatch: Any) -> None:
    monkeypatch.setattr(webhooks, "STEP_SECONDS", 2.0)
    succeed()
    told = Notice.objects.get()
    with talker(lambda connection: time.sleep(30), address="127.0.0.2") as port:
        many(told, f"http://127.0.0.2:{port}/", "127.0.0.2", 5)
        many(told, hook.url, "127.0.0.1", 5)
        begun = time.time()
        assert send_due() == 10
    assert len(hook.received) == 5
    assert max(each.at for each in hook.received) - begun < 1.9  # before the first dead try was over
    dead = Delivery.objects.filter(host="127.0.0.2")
    assert all(each.sent_at is None and each.tries == 1 for each in dead)


def test_a_sender_that_is_killed_before_it_could_mark_sends_again_under_the_same_id(
    transactional_db: None, cast: Cast, succeed: End, hook: Endpoint, tmp_path: Any
) -> None:
    choose(cast.bob, webhook_url=hook.url)
    succeed()
    with Sender() as process:
        hook.on_receipt = lambda: os.kill(process.pid, signal.SIGKILL)
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.wait(20) == -signal.SIGKILL
    hook.on_receipt = lambda: None
    delivery = Delivery.objects.get()
    assert (delivery.sent_at, delivery.tries, len(hook.received)) == (None, 1, 1)
    assert delivery.next_try_at
    assert delivery.next_try_at > timezone.now()  # held for a while, so that a living sender is not overtaken
    due_now()
    assert send_due() == 1
    assert ids(hook) == [str(delivery.uuid)] * 2


SENDER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
import django
django.setup()
from webapp.notices.sending import send_due
sys.stdin.readline()
send_due()
"""


class Sender:
    """Another process that sends from this test's database, as soon as it is left to."""

    def __enter__(self) -> subprocess.Popen[bytes]:
        name = str(connection.settings_dict["NAME"])
        environment = os.environ | {"DELTABOARD_WEBHOOK_NETWORKS": "127.0.0.0/8"}
        command = [sys.executable, "-c", SENDER, name]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
        return self.process

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def test_the_wake_up_waits_for_the_commit_and_a_dead_broker_loses_nothing(
    cast: Cast, succeed: End, hook: Endpoint, django_capture_on_commit_callbacks: Any, caplog: Any
) -> None:
    choose(cast.bob, webhook_url=hook.url)
    with django_capture_on_commit_callbacks(execute=True) as callbacks, transaction.atomic():
        succeed()  # nothing listens on the tests' broker port here
    assert any(callback.__name__ == "wake" for callback in callbacks)
    assert "outbox not announced" in caplog.text
    assert send_due() == 1


def test_the_secret_is_in_no_row_no_log_and_no_audit_entry(
    cast: Cast, succeed: End, hook: Endpoint, caplog: Any, tmp_path: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    choose(cast.bob, webhook_url=hook.url)
    succeed()
    with endpoint(500) as failing:
        send_due()
        choose(cast.bob, webhook_url=failing.url)
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "notices", "accounts", output=str(dump))
    assert SECRET not in dump.read_text() + caplog.text + str(list(AuditEntry.objects.values()))


def test_a_name_that_leads_nowhere_is_a_sentence(cast: Cast, succeed: End, monkeypatch: Any) -> None:
    choose(cast.bob, webhook_url="https://no-such-host.invalid/")
    succeed()
    send_due()
    said = Delivery.objects.get().last_error
    assert said == "The name no-such-host.invalid leads nowhere. Check how it is written."
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("no-such-host.invalid", 443)
