"""Notices for programs. A token reaches its team's notices; a person's settings are wider than one team."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema
from ninja.errors import HttpError
from pydantic import ConfigDict

from webapp.accounts.auth import Caller
from webapp.accounts.models import Team
from webapp.notices import choosing, mailing
from webapp.notices.choosing import CHANNELS, EVENTS, ChoiceRefused
from webapp.notices.models import Notice, NoticeChoice, NoticeQuerySet
from webapp.paging import Whole, page

notices = Router(tags=["notices"])


ONE_TEAM = "This token reaches one team; the settings of your notices are for all of yours. Change them in a browser."


def _visible(request: Any) -> NoticeQuerySet:
    caller: Caller = request.auth
    seen = Notice.objects.visible_to(caller.user)
    return seen.filter(job__team=caller.team) if caller.team else seen


def notice_answer(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.pk,
        "kind": notice.kind,
        "sentence": notice.sentence,
        "job": notice.job_id,
        "created_at": notice.created_at,
        "read_at": notice.read_at,
    }


@notices.get("")
def list_notices(request: Any, unread: bool = False, limit: Whole = 50, cursor: Whole | None = None) -> dict[str, Any]:
    """Your notices, newest first; `unread=true` leaves out what was read."""
    rows = _visible(request)
    return page(rows.unread() if unread else rows, notice_answer, limit, cursor)


@notices.post("read")
def read_all(request: Any) -> dict[str, Any]:
    """Mark all as read; says how many were not."""
    return {"read": _visible(request).unread().update(read_at=timezone.now())}


@notices.post("{int:notice_id}/read")
def read(request: Any, notice_id: int) -> dict[str, Any]:
    """Mark one as read; a second time changes nothing."""
    found = get_object_or_404(_visible(request), pk=notice_id)
    Notice.objects.filter(pk=found.pk).unread().update(read_at=timezone.now())
    found.refresh_from_db()
    return notice_answer(found)


# ---- Settings -----------------------------------------------------------------------------------


class Settings(Schema):
    """What is left out stays as it is; what is not named here cannot be set."""

    model_config = ConfigDict(extra="forbid")
    in_app: bool | None = None
    email: bool | None = None
    webhook_url: str | None = None
    succeeded: bool | None = None
    failed: bool | None = None
    cancelled: bool | None = None
    interrupted: bool | None = None
    worker_lost: bool | None = None
    teams: list[str] | None = None


def settings_answer(caller: Caller, secret: str = "") -> dict[str, Any]:
    choice = NoticeChoice.of(caller.user)
    followed = list(choice.teams.values_list("pk", flat=True)) if choice.pk else []
    teams = Team.objects.visible_to(caller.user).filter(pk__in=followed)
    if caller.team:
        teams = teams.filter(pk=caller.team.pk)
    shown = {name: getattr(choice, name) for name in (*CHANNELS, *EVENTS)}
    return {
        **shown,
        "webhook_url": choice.webhook_url if _whole_person(caller) else _host_of(choice.webhook_url),
        "teams": [team.slug for team in teams.distinct()],
        "email_address": caller.user.email,
        "email_is_set_up": mailing.is_set_up(),
        "webhook_has_secret": bool(choice.sealed_secret),
        **({"webhook_secret": secret} if secret else {}),
    }


def _whole_person(caller: Caller) -> bool:
    """Whether the call reaches all teams of its person."""
    return not (caller.team and Team.objects.visible_to(caller.user).exclude(pk=caller.team.pk).exists())


def _host_of(url: str) -> str:
    """Of an address whose path may be a secret, what anybody could see on the wire."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/…" if parts.hostname else ""


def _require_whole_person(caller: Caller) -> None:
    """A token of one team must not point what other teams' jobs say to an address of its choice."""
    if not _whole_person(caller):
        raise HttpError(403, ONE_TEAM)


@notices.get("settings")
def get_settings(request: Any) -> dict[str, Any]:
    """What you hear of, and how. The webhook's secret is never shown again."""
    return settings_answer(request.auth)


@notices.patch("settings")
def patch_settings(request: Any, body: Settings) -> dict[str, Any]:
    """Change the named fields. A first webhook address brings `webhook_secret`, in this one answer."""
    caller: Caller = request.auth
    _require_whole_person(caller)
    wanted = {name: value for name, value in body.dict(exclude_unset=True).items() if value is not None}
    if "teams" in wanted:
        wanted["teams"] = _teams(caller, wanted["teams"])
    return settings_answer(caller, choosing.change(caller.user, wanted))


def _teams(caller: Caller, slugs: list[str]) -> list[Team]:
    teams = list(Team.objects.visible_to(caller.user).filter(slug__in=slugs).distinct())
    missing = sorted(set(slugs) - {team.slug for team in teams})
    if missing:
        raise ChoiceRefused("teams", f"You are in no team {missing[0]!r}. See the slugs of yours on the team page.")
    return teams


@notices.post("settings/secret")
def rotate(request: Any) -> dict[str, Any]:
    """A new secret for the webhook, in this one answer; the old one signs nothing from now on."""
    _require_whole_person(request.auth)
    return {"webhook_secret": choosing.rotate(request.auth.user)}


@notices.post("settings/test")
def try_out(request: Any) -> dict[str, Any]:
    """Send a test to your webhook and say how it answered."""
    _require_whole_person(request.auth)
    tried = choosing.try_out(request.auth.user)
    return {"delivered": tried.good, "status": tried.status, "sentence": tried.sentence}
