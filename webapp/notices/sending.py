"""Empties the outbox: claims what is due, sends at least once, tries again ever later, gives up and says so.

A claim moves `next_try_at` ahead in one conditional update, so any number of senders may run; one that dies between
sending and marking leaves a row that is sent again under the same id.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta

from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from webapp.accounts.permissions import people_of
from webapp.notices import mailing, webhooks
from webapp.notices.models import Channel, Delivery, NoticeChoice
from webapp.notices.sealing import Unreadable, unseal
from webapp.notices.webhooks import Undelivered

log = logging.getLogger(__name__)

AT_ONCE = 16
PER_HOST = 2
"""A dead endpoint holds no more than these places while the others' go out."""
HOLD_SECONDS = 60.0
"""How long a claim keeps other senders off: longer than one sending can take."""
WAITS_SECONDS = (10, 30, 90, 270, 810, 2400, 3600)
TRIES = len(WAITS_SECONDS) + 1
ROUND_SECONDS = 60.0
"""After this a round takes nothing new."""

Send = Callable[[], None]


class Unwanted(Exception):
    """Nobody is to be told any more; the sentence says why."""


def send_due() -> int:
    """Send until nothing is due. Returns how many were tried."""
    going: dict[Future[None], Delivery] = {}
    tried, until = 0, time.monotonic() + ROUND_SECONDS
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="outbox") as pool:
        while True:
            if time.monotonic() < until:
                for delivery, send in _claimed(Counter(each.host for each in going.values())):
                    going[pool.submit(send)] = delivery
                    tried += 1
            if not going:
                return tried
            done, _ = wait(going, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                _settle(going.pop(future), future)


def _claimed(busy: Counter[str]) -> list[tuple[Delivery, Send]]:
    """What is due and finds a place, each claimed for us alone, with what sends it."""
    full = [host for host, places in busy.items() if places >= PER_HOST]
    rows = Delivery.objects.filter(next_try_at__lte=timezone.now()).exclude(host__in=full)
    turn = Window(RowNumber(), partition_by=F("host"), order_by=[F("tries").asc(), F("next_try_at").asc()])
    rows = rows.annotate(turn=turn).filter(turn__lte=PER_HOST).select_related("notice__user", "notice__job")
    found: list[tuple[Delivery, Send]] = []
    for delivery in rows.order_by("tries", "next_try_at")[: AT_ONCE - busy.total()]:
        if busy[delivery.host] >= PER_HOST or not _claim(delivery):
            continue
        try:
            found.append((delivery, _prepared(delivery)))
        except Unwanted as why:
            _give_up(delivery, str(why))
        else:
            busy[delivery.host] += 1
    return found


def _claim(delivery: Delivery) -> bool:
    seen = Delivery.objects.filter(pk=delivery.pk, next_try_at=delivery.next_try_at)
    later = timezone.now() + timedelta(seconds=HOLD_SECONDS)
    if seen.update(next_try_at=later, tries=F("tries") + 1) == 0:
        return False
    delivery.tries += 1
    return True


def _prepared(delivery: Delivery) -> Send:
    """What sends it, with all that the database has to say asked before. Raises Unwanted."""
    user, address = delivery.notice.user, delivery.address
    if not people_of(delivery.notice.job.team_id).filter(pk=user.pk).exists():
        raise Unwanted("You can no longer see this job.")
    choice = NoticeChoice.of(user)
    if delivery.channel == Channel.EMAIL:
        if not choice.email or user.email != address:
            raise Unwanted("E-mail was switched off, or the address was changed.")
        return lambda: mailing.mail(address, str(delivery.uuid), delivery.body)
    if choice.webhook_url != address:
        raise Unwanted("The webhook was switched off, or its address was changed.")
    try:
        secret = unseal(choice.sealed_secret)
    except Unreadable as error:
        raise Unwanted("The webhook's secret cannot be read any more. Make a new one.") from error
    return lambda: _post(address, secret, delivery)


def _post(address: str, secret: str, delivery: Delivery) -> None:
    status = webhooks.post(address, secret, str(delivery.uuid), delivery.body)
    if not 200 <= status < 300:
        raise Undelivered(f"The endpoint answered {status}.")


def _settle(delivery: Delivery, future: Future[None]) -> None:
    """Write down how it went."""
    error = future.exception()
    if error is None:
        now = timezone.now()
        Delivery.objects.filter(pk=delivery.pk).update(sent_at=now, next_try_at=None, last_error="")
        return
    if not isinstance(error, Undelivered):
        log.error("delivery %s: %s", delivery.uuid, type(error).__name__, exc_info=error)
    said = str(error) if isinstance(error, Undelivered) else "Something went wrong on our side. It was logged."
    if delivery.tries >= TRIES:
        _give_up(delivery, said)
        return
    later = timezone.now() + timedelta(seconds=WAITS_SECONDS[delivery.tries - 1])
    Delivery.objects.filter(pk=delivery.pk).update(next_try_at=later, last_error=said[:300])


def _give_up(delivery: Delivery, why: str) -> None:
    given_up = {"gave_up_at": timezone.now(), "next_try_at": None, "last_error": why[:300]}
    Delivery.objects.filter(Q(sent_at=None), pk=delivery.pk).update(**given_up)
