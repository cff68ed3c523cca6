"""Every door of the site is shut to the anonymous but for a short list; a new open one must be entered here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

OPEN = {
    "/sign-in/",
    "/sign-in/link/x/",
    "/promises/",
    "/offline/",
    "/offline.js",
    "/api/v1/healthz",
    "/api/worker/ping",
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/api/worker/enrol",
    "/admin/login/",
}
"""May be seen by anyone: nothing of a team is behind them."""
METHODS = ("get", "post", "put", "patch", "delete")
FILLERS = {"int": "1", "slug": "x", "str": "x", "path": "x", "uuid": "00000000-0000-0000-0000-000000000000"}


def addresses(patterns: list[Any], prefix: str = "/") -> Iterator[str]:
    for each in patterns:
        part = prefix + _filled(each.pattern)
        if isinstance(each, URLResolver):
            yield from addresses(each.url_patterns, part)
        elif isinstance(each, URLPattern):
            yield part


def _filled(pattern: Any) -> str:
    text = str(pattern)
    if text.startswith("^"):  # the admin's catch-all and content-type shortcut
        return "x/"
    for name, converter in pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
        text = text.replace(f"<{kind}:{name}>", FILLERS[kind]).replace(f"<{name}>", "x")
    return text


ALL = sorted(set(addresses(get_resolver().url_patterns)))


def test_there_are_doors_to_try() -> None:
    assert len(ALL) > 60


@pytest.mark.parametrize("address", [address for address in ALL if address not in OPEN])
def test_the_anonymous_find_every_door_shut(db: Any, address: str) -> None:
    for method in METHODS:
        answer = getattr(Client(), method)(address)
        shut = answer.status_code in (401, 403, 404, 405)
        to_sign_in = answer.status_code == 302 and (
            "/sign-in/" in answer["Location"] or "/admin/login/" in answer["Location"]
        )
        assert shut or to_sign_in, f"{method} {address}: {answer.status_code}"


@pytest.mark.parametrize("address", [address for address in ALL if address not in OPEN and "<" not in address])
def test_a_wrong_host_is_refused(db: Any, address: str) -> None:
    assert Client(HTTP_HOST="evil.example").get(address).status_code == 400


def test_posts_from_a_browser_need_the_csrf_token(cast: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.bob)
    assert client.post("/api/v1/jobs", {}, "application/json").status_code == 403
    assert client.post("/sign-out/").status_code == 403
