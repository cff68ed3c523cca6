"""The child that reads files: what it may not do, how it ends, and that its end is an answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from webapp.datasets import checking
from webapp.datasets.checking import CheckFailed, Unwanted, check
from webapp.datasets.limits import Limits
from webapp.datasets.reading import Report

SITE = str(checking.SITE)
ROWS = b"".join(b'{"text":"row %d","label":"%d"}\n' % (n, n % 2) for n in range(100_000))


def in_the_child(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a body as the child would run, after the sandbox closed."""
    opening = checking.START.replace("from webapp.datasets.checking import main\nmain()\n", "")
    code = f"{opening}\nimport os\nfrom webapp.datasets.confinement import confine\n"
    code += f"from webapp.datasets.limits import Limits\nlayers = confine(Limits(), 0, os.getppid())\n{body}"
    command = [sys.executable, "-I", "-B", "-c", code, SITE, *arguments]
    return subprocess.run(command, env=checking.ENVIRONMENT, capture_output=True, text=True, check=False, timeout=20)


def checked(folder: Path, content: bytes, limits: Limits | None = None) -> Report:
    (folder / "upload").write_bytes(content)
    report = check(folder / "upload", "a.jsonl", folder / "rows.jsonl", limits=limits)
    finished = ["rows.jsonl"] if report.state == "ready" else []
    listed = ["rows.jsonl.problems"] if report.problems_file else []
    assert sorted(path.name for path in folder.iterdir()) == [*finished, *listed, "upload"]
    return report


def only_code(report: Report) -> str:
    return str(report.problems[0]["code"])


def test_the_child_loads_neither_django_nor_celery() -> None:
    done = in_the_child("import webapp.datasets.checking; print({'django', 'celery'} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr


def test_the_child_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    assert "canary" not in in_the_child("print(os.environ)").stdout


def test_the_child_has_no_network_where_the_host_allows_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        body = (
            "import socket\nprint(layers['no_network'])\nsocket.create_connection(('127.0.0.1', int(sys.argv[2])), 2)"
        )
        done = in_the_child(body, str(server.getsockname()[1]))
    if done.stdout.strip() == "False":
        pytest.skip("this host lets no process give up its network")
    assert done.returncode != 0


def test_the_report_says_which_layers_held(tmp_path: Path) -> None:
    layers = checked(tmp_path, ROWS[:2900]).isolation
    assert layers["memory"] or sys.platform != "linux"
    assert {"no_network", "ends_with_parent", "cpu_time", "file_size"} <= set(layers) or sys.platform != "linux"


def test_using_up_the_processor_is_an_answer(tmp_path: Path) -> None:
    report = checked(tmp_path, ROWS * 8, Limits(cpu_seconds=1))
    assert only_code(report) == "dataset.check_too_long"


def test_rows_that_take_too_much_room_are_an_answer(tmp_path: Path) -> None:
    report = checked(tmp_path, ROWS, Limits(output_bytes_least=1_000_000, output_times_source=0))
    assert only_code(report) == "dataset.expands_too_far"
    assert "1 MiB" in report.problems[0]["message"]


def test_a_source_that_is_gone_is_not_the_files_fault(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="No such file"):
        check(tmp_path / "gone", "a.jsonl", tmp_path / "rows.jsonl")
    with pytest.raises(CheckFailed, match="folder is gone"):
        check(tmp_path / "gone", "a.jsonl", tmp_path / "gone" / "rows.jsonl")


def test_a_check_tells_how_far_it_is_and_ends_once_nobody_wants_it(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(ROWS[:290] + b"5\n" + ROWS * 30)
    told: list[dict[str, Any]] = []
    begun = time.monotonic()

    def wanted(progress: dict[str, Any]) -> bool:
        told.append(progress)
        return not progress

    with pytest.raises(Unwanted):
        check(tmp_path / "upload", "a.jsonl", tmp_path / "rows.jsonl", still_wanted=wanted)
    assert time.monotonic() - begun < 10
    assert told[-1]["rows"] > 100
    assert (told[-1]["problems"][0]["code"], told[-1]["problems_total"]) == ("dataset.not_an_object", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(ROWS * 30)
    body = "from pathlib import Path\nfrom webapp.datasets.checking import check\n"
    body += "check(Path(sys.argv[2]) / 'upload', 'a.jsonl', Path(sys.argv[2]) / 'rows.jsonl')"
    opening = checking.START.replace("from webapp.datasets.checking import main\nmain()\n", body)
    with subprocess.Popen([sys.executable, "-c", opening, SITE, str(tmp_path)]) as parent:
        (child,) = _wait(lambda: psutil.Process(parent.pid).children())
        _wait(lambda: (tmp_path / "rows.jsonl.draft").exists())
        os.kill(parent.pid, signal.SIGKILL)
        _wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def _wait(asked: Callable[[], Any], seconds: float = 10.0) -> Any:
    until = time.monotonic() + seconds
    while not (answer := asked()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return answer
