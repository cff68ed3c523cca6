"""Who asks at an address that Django does not see: by Bearer token or session cookie, and from which site."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from importlib import import_module
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.http.request import split_domain_port, validate_host

from webapp.accounts.models import ApiToken, User


@dataclass(frozen=True)
class Asked:
    """The person, and for a token the one team that it reaches."""

    user: User
    team_id: int | None


def from_here(headers: dict[str, str]) -> bool:
    """Django checks the Host of all other requests; here it is ours to do. A browser's Origin must be our own."""
    host = headers.get("host", "")
    own = validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    origin = headers.get("origin")
    return own and (origin is None or urlsplit(origin).netloc == host)


def asked_by(headers: dict[str, str]) -> Asked | None:
    """The person behind a Bearer token (and its team) or a session cookie."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = ApiToken.objects.find(text)
        return Asked(token.user, token.team_id) if token else None
    cookie = SimpleCookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if cookie is None:
        return None
    session = import_module(settings.SESSION_ENGINE).SessionStore(cookie.value)
    user = User.objects.filter(pk=session.get(SESSION_KEY), is_active=True).first()
    if user is None or session.get(HASH_SESSION_KEY) != user.get_session_auth_hash():
        return None
    return Asked(user, None)
