"""Who calls the public API: a program by its token, or a browser by its session with CSRF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from ninja.security import HttpBearer, SessionAuth

from webapp.accounts.models import ApiToken, Team, User


@dataclass(frozen=True)
class Caller:
    """The person behind a call. `team` is set for tokens: they reach one team only."""

    user: User
    team: Team | None


class TokenAuth(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        found = ApiToken.objects.find(token)
        if found is None:
            return None
        found.touch()
        return Caller(found.user, found.team)


class BrowserAuth(SessionAuth):
    def authenticate(self, request: HttpRequest, key: Any) -> Caller | None:
        user = request.user
        return Caller(user, None) if isinstance(user, User) and user.is_authenticated else None
