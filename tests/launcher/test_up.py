from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.ports import free_port
from tests.launcher.leftovers import MARK, eventually, marked
from tests.launcher.toy_site import make_toy_site


@dataclass
class Up:
    """A running `manage.py up` and what it printed so far."""

    popen: subprocess.Popen[bytes]
    folder: Path
    port: int
    mark: str

    @property
    def printed(self) -> str:
        return (self.folder / "printed").read_text()

    def says(self, words: str) -> bool:
        return eventually(lambda: words in self.printed, limit_seconds=20)

    def told(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The arguments and the environment with which a worker was started."""
        note = self.folder / "var" / f"{name}.told"
        assert eventually(note.exists)
        arguments, environment = ast.literal_eval(note.read_text())
        return arguments, environment


@pytest.fixture
def toy_site(tmp_path: Path) -> Path:
    return make_toy_site(tmp_path)


@contextmanager
def up(folder: Path, *words: str, port: int = 0) -> Iterator[Up]:
    mark, port = uuid.uuid4().hex, port or free_port()
    environment = {**os.environ, MARK: mark, "DELTABOARD_VAR": str(folder / "var"), "DELTABOARD_NO_BOOTSTRAP": "1"}
    environment["SECRET_KEY"] = "not for workers"
    command = [sys.executable, "manage.py", "up", "--port", str(port), *words]
    with (folder / "printed").open("w") as printed:
        popen = subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT)
    try:
        yield Up(popen, folder, port, mark)
    finally:
        popen.kill()
        popen.wait()
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)


def test_up_starts_everything_and_ctrl_c_ends_it(toy_site: Path) -> None:
    begun = time.monotonic()
    with up(toy_site, "--workers", "2", "--starter") as site:
        address = f"http://127.0.0.1:{site.port}"
        assert site.says(f"Deltaboard is running at {address}")
        assert time.monotonic() - begun < 10
        assert f"{address}/sign-in/once" in site.printed
        assert site.says("starter | two models installed")

        arguments, environment = site.told("worker-2")
        assert arguments == ["--site", address, "--name", "worker-2"]
        assert environment["DELTABOARD_WORKER_KEY"] == "key-of-worker-2"
        assert environment["REDIS_URL"].startswith("redis://:")
        assert "SECRET_KEY" not in environment

        site.popen.send_signal(signal.SIGINT)
        assert site.popen.wait(timeout=10) == 0
        assert site.says("Deltaboard has ended.")
        assert marked(site.mark) == []


def test_a_second_up_names_the_first(toy_site: Path) -> None:
    with up(toy_site, "--no-worker") as first:
        assert first.says("Deltaboard is running")
        command = [sys.executable, "manage.py", "up"]
        environment = {**os.environ, "DELTABOARD_VAR": str(toy_site / "var"), "DELTABOARD_NO_BOOTSTRAP": "1"}
        second = subprocess.run(command, cwd=toy_site, env=environment, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"already runs from {toy_site / 'var'}: http://127.0.0.1:{first.port}, process" in second.stderr


def test_an_enrolled_worker_needs_no_key(toy_site: Path) -> None:
    token = toy_site / "var" / "workers" / "worker-1" / "token.json"
    token.parent.mkdir(parents=True)
    port = free_port()
    token.write_text(json.dumps({"site": f"http://127.0.0.1:{port}"}))
    with up(toy_site, port=port) as site:
        assert "DELTABOARD_WORKER_KEY" not in site.told("worker-1")[1]


def test_killing_up_leaves_nothing(toy_site: Path) -> None:
    with up(toy_site) as site:
        site.told("worker-1")
        site.popen.kill()
        assert eventually(lambda: marked(site.mark) == [], limit_seconds=3)


def test_a_site_that_cannot_start_is_one_sentence(toy_site: Path) -> None:
    (toy_site / "webapp" / "asgi.py").write_text("raise ValueError('the door is stuck')\n")
    with up(toy_site) as site:
        assert site.popen.wait(timeout=20) == 1
        assert "web did not start: ValueError: the door is stuck. Its log:" in site.printed
        assert "Traceback" not in site.printed
        assert marked(site.mark) == []
