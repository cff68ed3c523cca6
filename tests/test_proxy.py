"""The proxy's lists of addresses that take files: each is a route of the site, and no such route is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import Resolver404, resolve

from webapp import bodies
from webapp.api import api
from webapp.datasets import upload_route

CADDY = (Path(__file__).resolve().parent.parent / "deploy" / "Caddyfile").read_text()
CHUNK = "/api/v1/uploads/01234567-89ab-cdef-0123-456789abcdef"


def listed(name: str) -> list[str]:
    found = re.search(rf"@{name} (?:not )?path (.+)", CADDY)
    assert found, name
    return found[1].split()


def example(pattern: str) -> str:
    """An address that a pattern of the proxy is meant for."""
    if pattern == "/api/v1/uploads/*":
        return CHUNK
    pattern = pattern.replace("/api/v1/datasets/*", "/api/v1/datasets/1/versions").replace("/v*/", "/v1/")
    return pattern.replace("files/*", f"files/{'0' * 64}").replace("*", "1")


@pytest.mark.parametrize("name", ["upload", "chunk", "small"])
def test_each_path_that_the_proxy_names_is_a_route_that_takes_a_body(name: str) -> None:
    for address in map(example, listed(name)):
        if name == "chunk" or address == CHUNK:
            assert upload_route.PATH.fullmatch(address)
            continue
        assert bodies.UPLOADS.fullmatch(address) or bodies.PARTS.fullmatch(address), address
        try:
            resolve(address)
        except Resolver404:
            pytest.fail(f"{address} is no page of the site")


def test_what_is_large_is_what_is_not_small() -> None:
    workers = {each for each in listed("small") if each.startswith("/api/worker/")}
    assert set(listed("small")) - workers == {*listed("upload"), *listed("chunk")}
    assert workers


def test_every_route_of_the_api_that_takes_a_file_is_let_through() -> None:
    taking = [
        path
        for path, verbs in api.get_openapi_schema()["paths"].items()
        if "multipart/form-data" in verbs.get("post", {}).get("requestBody", {}).get("content", {})
    ]
    assert len(taking) >= 3
    patterns = [re.escape(each).replace(r"\*", ".*") for each in listed("upload")]
    for path in taking:
        address = re.sub(r"\{\w+\}", "1", path)
        assert any(re.fullmatch(pattern, address) for pattern in patterns), path
        assert bodies.UPLOADS.fullmatch(address), path
