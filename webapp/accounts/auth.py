"""Who calls the public API: a program by its token, or a browser by its session with CSRF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from ninja.security import HttpBearer, SessionAuth

from webapp.accounts.models import ApiToken, Team, User

Rows = TypeVar("Rows", bound=QuerySet[Any])


@dataclass(frozen=True)
class Caller:
    """The person behind a call. `team` is set for tokens: they reach one team only."""

    user: User
    team: Team | None

    def within(self, rows: Rows, field: str = "team") -> Rows:
        """Rows that this call may reach of those its person may see: for a token its team's and the shared ones."""
        return rows.filter(Q(**{field: self.team}) | Q(**{f"{field}__isnull": True})) if self.team else rows


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
