from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.folders import MANAGE, try_lock
from launcher.ports import free_port

SMALL_DISK = 'mount -t tmpfs -o size=20m tmpfs "$0" && exec "$@"'
"""Runs a command where the folder is a disk of 20 MB, seen by that command alone."""


def manage(state: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DELTABOARD_VAR": str(state), "DELTABOARD_NO_BOOTSTRAP": "1", **variables}
    return subprocess.run([sys.executable, str(MANAGE), *words], env=environment, capture_output=True, text=True)


def only_sentence(refused: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that refused."""
    assert refused.returncode == 1
    (sentence,) = refused.stderr.splitlines()
    return sentence


def test_a_second_up_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "up.lock")
    assert first is not None
    with first:
        first.write("http://127.0.0.1:8000, process 42")
        first.flush()
        sentence = only_sentence(manage(tmp_path, "up"))
    assert sentence.startswith(f"Deltaboard already runs from {tmp_path}: http://127.0.0.1:8000, process 42.")
    assert "Ctrl-C" in sentence


def test_a_port_in_use_is_refused_with_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sentence = only_sentence(manage(tmp_path, "up", "--port", str(port)))
    assert sentence.startswith(f"Port {port} on 127.0.0.1 is in use by another program. Choose another: --port ")


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    sentence = only_sentence(manage(tmp_path, "up", "--host", "192.0.2.1"))
    assert sentence.startswith("This machine has no address 192.0.2.1.")


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    refused = manage(tmp_path, "up", "--port", "99999")
    assert refused.returncode == 2
    assert "a port is a number from 1 to 65535" in refused.stderr


def test_a_nearly_full_disk_is_refused(tmp_path: Path) -> None:
    on_small_disk = ["unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run([*on_small_disk, "true"]).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    environment = {**os.environ, "DELTABOARD_VAR": str(tmp_path), "DELTABOARD_NO_BOOTSTRAP": "1"}
    command = [*on_small_disk, sys.executable, str(MANAGE), "up", "--port", str(free_port())]
    sentence = only_sentence(subprocess.run(command, env=environment, capture_output=True, text=True))
    assert sentence.startswith(f"The disk under {tmp_path} is nearly full: ")
    assert "Deltaboard needs 500 MB" in sentence


def test_ci_without_a_browser_is_refused(tmp_path: Path) -> None:
    sentence = only_sentence(manage(tmp_path, "test", CI="1", PATH=str(tmp_path)))
    assert sentence.startswith("Chromium is missing, and CI is set")
