"""The number on the bell, asked for only by pages that show it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.notices.models import Notice

SHOWN_AT_MOST = 99


def bell(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Templates call `unread_notices`; fragments without a top bar cost no query."""
    user = getattr(request, "user", None)
    return {"unread_notices": lambda: unread(user)} if isinstance(user, User) else {}


def unread(user: User) -> int:
    """Unread notices, counted no further than a bell can show."""
    return Notice.objects.visible_to(user).unread()[: SHOWN_AT_MOST + 1].count()
