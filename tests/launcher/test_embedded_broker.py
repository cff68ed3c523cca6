from __future__ import annotations

import signal
import stat
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from launcher.valkey import Broker, running


def test_the_broker_takes_its_password_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path) as broker:
        assert redis.Redis.from_url(broker.url).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=broker.port, retry=Retry(NoBackoff(), 0)).ping()


def test_nobody_else_can_read_the_password(tmp_path: Path) -> None:
    broker = Broker.prepare(tmp_path / "valkey")
    secret_files = [broker.settings, broker.folder / "password"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret_files} == {0o600}
    assert broker.password not in " ".join(broker.command())


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with running(tmp_path) as broker:
        client = redis.Redis.from_url(broker.url)
        with client.pipeline(transaction=False) as pipe:
            for number in range(2000):
                pipe.rpush("permits", number)
            pipe.execute()
        _server(broker).send_signal(signal.SIGKILL)
    with running(tmp_path) as again:
        assert again.password == broker.password
        assert redis.Redis.from_url(again.url).llen("permits") == 2000


def _server(broker: Broker) -> psutil.Process:
    """The server that runs from this broker's settings. Valkey shows its port in its command line."""
    children = psutil.Process().children()
    return next(child for child in children if str(broker.port) in " ".join(child.cmdline()))


def test_a_folder_with_blanks_in_its_name_is_fine(tmp_path: Path) -> None:
    with running(tmp_path / "my files") as broker:
        assert redis.Redis.from_url(broker.url).config_get("dir")["dir"] == str(tmp_path / "my files")


def test_the_server_ends_with_the_block(tmp_path: Path) -> None:
    with running(tmp_path) as broker:
        assert broker.answers()
    assert not broker.answers()
