"""What a person may change of their notices: the choice, the webhook's secret, and trying it out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from webapp.accounts.models import AuditEntry, User
from webapp.accounts.permissions import maintains_a_team
from webapp.accounts.tokens import make_secret
from webapp.notices import mailing, webhooks
from webapp.notices.models import NoticeChoice
from webapp.notices.sealing import Unreadable, seal, unseal
from webapp.notices.targets import Refused, read_target

CHANNELS = ("in_app", "email")
EVENTS = ("succeeded", "failed", "cancelled", "interrupted", "worker_lost")


class ChoiceRefused(Exception):
    """One field cannot be so; the sentence says why and what would be."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def change(user: User, wanted: dict[str, Any]) -> str:
    """Save the named fields. Returns the webhook's new secret, to show once, where one was made; else "".

    `teams` are rows the person may see. Raises ChoiceRefused.
    """
    _check(user, wanted)
    with transaction.atomic():
        choice = _locked(user)
        secret = ""
        before = {name: getattr(choice, name) for name in wanted if name != "teams"}
        for name in before:
            setattr(choice, name, wanted[name])
        if not choice.webhook_url:
            choice.sealed_secret = ""
        elif not choice.sealed_secret:
            secret = _new_secret(choice)
        choice.save()
        changed = sorted(name for name, value in before.items() if getattr(choice, name) != value)
        if "teams" in wanted and {team.pk for team in wanted["teams"]} != set(
            choice.teams.values_list("pk", flat=True)
        ):
            choice.teams.set(wanted["teams"])
            changed.append("teams")
        if changed:
            host = urlsplit(choice.webhook_url).hostname or ""
            AuditEntry.note(user, None, "notices.change", user.pk, changed=changed, webhook_host=host)
    return secret


def _check(user: User, wanted: dict[str, Any]) -> None:
    if wanted.get("email"):
        if not mailing.is_set_up():
            raise ChoiceRefused("email", "The site's admin has not set up e-mail (EMAIL_URL).")
        if not user.email:
            raise ChoiceRefused("email", "Your account has no e-mail address. Ask the site's admin to enter one.")
    if wanted.get("worker_lost") and not maintains_a_team(user):
        raise ChoiceRefused("worker_lost", "Lost workers are told to maintainers, and you maintain no team.")
    if wanted.get("webhook_url"):
        try:
            read_target(wanted["webhook_url"])
        except Refused as error:
            raise ChoiceRefused("webhook_url", str(error)) from error


def _locked(user: User) -> NoticeChoice:
    NoticeChoice.objects.get_or_create(user=user)
    return NoticeChoice.objects.select_for_update().get(user=user)


def _new_secret(choice: NoticeChoice) -> str:
    text = make_secret("h").text
    choice.sealed_secret = seal(text)
    return text


def rotate(user: User) -> str:
    """A new secret, to show once; the old one signs nothing from now on. Raises ChoiceRefused."""
    with transaction.atomic():
        choice = _locked(user)
        if not choice.webhook_url:
            raise ChoiceRefused("webhook_url", "There is no webhook yet. Save its address first.")
        secret = _new_secret(choice)
        choice.save(update_fields=["sealed_secret"])
        AuditEntry.note(user, None, "notices.secret", user.pk)
    return secret


@dataclass(frozen=True)
class Tried:
    """How a test went; of the answer only its status."""

    good: bool
    sentence: str
    status: int | None = None


def try_out(user: User) -> Tried:
    """Send a test to the saved webhook now, and wait for the answer. Raises ChoiceRefused."""
    choice = NoticeChoice.of(user)
    if not choice.webhook_url:
        raise ChoiceRefused("webhook_url", "There is no webhook yet. Save its address first.")
    AuditEntry.note(user, None, "notices.test", user.pk)
    content = {"kind": "test", "sentence": f"A test that {user.label} asked for.", "job": None}
    try:
        status = webhooks.post(choice.webhook_url, unseal(choice.sealed_secret), str(uuid.uuid4()), content)
    except Unreadable:
        return Tried(False, "The webhook's secret cannot be read any more. Make a new one.")
    except webhooks.Undelivered as error:
        return Tried(False, str(error))
    good = 200 <= status < 300
    return Tried(good, f"The endpoint answered {status}." + ("" if good else " A 2xx would be success."), status)
