"""A bucket for tests: moto's server on loopback, reached through the chaos proxy, as the site's storage."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from django.test import override_settings
from moto.server import ThreadedMotoServer

from tests.faults.chaos_proxy import ChaosProxy
from webapp import bucket as s3

NAME = "deltaboard"


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def way(moto: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChaosProxy]:
    """The way to an empty bucket, which is the site's storage."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "toy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(s3, "ANSWER_SECONDS", 1)
    owner = boto3.resource("s3", endpoint_url=f"http://127.0.0.1:{moto}").Bucket(NAME)
    owner.create()
    with ChaosProxy(moto) as proxy:
        options = {"bucket_name": NAME, "endpoint_url": proxy.url, "public_url": proxy.url}
        storages = {
            "default": {"BACKEND": "webapp.bucket.Bucket", "OPTIONS": options},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        }
        with override_settings(STORAGES=storages):
            yield proxy
    owner.objects.all().delete()
    owner.delete()
