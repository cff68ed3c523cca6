from __future__ import annotations

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
from itertools import pairwise
from pathlib import Path

import pytest

from launcher.folders import ROOT
from tests.launcher.leftovers import MARK, eventually, marked

NOTES_START = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).open('a').write(f'{time.monotonic()}\\n'); "
SLEEPS = NOTES_START + "time.sleep(600)"
CRASHES = NOTES_START + "print('out of luck'); sys.exit(3)"
ASKS_FOR_A_FRESH_START = NOTES_START + "sys.exit(75)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS
HAS_A_CHILD = "import subprocess; subprocess.Popen(['sleep', '600']); " + SLEEPS
LEAVES_A_CHILD_BEHIND = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); " + SLEEPS
NOTES_SIGTERM = (
    "import signal, pathlib, sys, time\n"
    "def end(*_):\n"
    "    pathlib.Path(sys.argv[1]).with_suffix('.ended').write_text(str(time.monotonic()))\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n" + SLEEPS
)


@dataclass
class Supervised:
    """A running supervisor, and the folder in which its programs note their starts."""

    popen: subprocess.Popen[str]
    folder: Path
    mark: str

    def starts(self, name: str) -> list[float]:
        """When the program was started, each time."""
        note = self.folder / f"{name}.starts"
        return [float(line) for line in note.read_text().split()] if note.exists() else []

    def printed(self) -> str:
        """What stood on the terminal, once it has ended."""
        assert self.popen.stdout is not None
        return self.popen.stdout.read()

    def all_started(self, *names: str) -> bool:
        return eventually(lambda: all(self.starts(name) for name in names))

    def end(self, wish: signal.Signals = signal.SIGTERM) -> float:
        """Sends the signal and waits for the end; the seconds it took."""
        begun = time.monotonic()
        self.popen.send_signal(wish)
        self.popen.wait(timeout=10)
        return time.monotonic() - begun


@contextmanager
def supervised(folder: Path, stages: dict[str, int] | None = None, **scripts: str) -> Iterator[Supervised]:
    programs = [
        {
            "name": name,
            "command": [sys.executable, "-c", script, str(folder / f"{name}.starts")],
            "stage": (stages or {}).get(name, 0),
        }
        for name, script in scripts.items()
    ]
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "tests.launcher.supervise", str(folder / "logs"), json.dumps(programs)]
    popen = subprocess.Popen(command, cwd=ROOT, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, text=True)
    try:
        yield Supervised(popen, folder, mark)
    finally:
        popen.kill()
        popen.wait()
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)


def test_ctrl_c_ends_everything_also_what_ignores_sigterm(tmp_path: Path) -> None:
    with supervised(tmp_path, calm=SLEEPS, stubborn=IGNORES_SIGTERM, parent=HAS_A_CHILD) as site:
        assert site.all_started("calm", "stubborn", "parent")
        assert site.end(signal.SIGINT) < 3
        assert marked(site.mark) == []


def test_killing_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with supervised(tmp_path, calm=SLEEPS, stubborn=IGNORES_SIGTERM, parent=HAS_A_CHILD) as site:
        assert site.all_started("calm", "stubborn", "parent")
        site.end(signal.SIGKILL)
        assert eventually(lambda: marked(site.mark) == [], limit_seconds=3)


def test_the_child_of_a_crashed_program_ends_with_the_site(tmp_path: Path) -> None:
    with supervised(tmp_path, careless=LEAVES_A_CHILD_BEHIND) as site:
        assert site.all_started("careless")
        before = marked(site.mark)
        os.kill(_leader(site, before), signal.SIGKILL)
        assert eventually(lambda: len(site.starts("careless")) == 2)
        site.end()
        assert marked(site.mark) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to the supervisor")
def test_the_dead_children_of_a_killed_program_do_not_stay_in_the_process_table(tmp_path: Path) -> None:
    with supervised(tmp_path, careless=LEAVES_A_CHILD_BEHIND) as site:
        assert site.all_started("careless")
        before = marked(site.mark)
        leader = _leader(site, before)
        child = next(pid for pid in before if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00600\x00")
        os.kill(leader, signal.SIGKILL)
        assert eventually(lambda: len(site.starts("careless")) == 2)
        assert Path(f"/proc/{child}").exists()  # adopted
        os.kill(child, signal.SIGKILL)
        assert eventually(lambda: not Path(f"/proc/{child}").exists(), limit_seconds=3)


def _leader(site: Supervised, pids: list[int]) -> int:
    """The supervised program itself: the one whose command line names the file of its starts."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    return next(pid for pid, line in lines.items() if line.endswith(b"careless.starts\0"))


def test_a_crashing_program_starts_again_ever_more_slowly(tmp_path: Path) -> None:
    with supervised(tmp_path, fragile=CRASHES) as site:
        assert eventually(lambda: len(site.starts("fragile")) == 4)
        starts = site.starts("fragile")
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert gaps[0] >= 0.2
        assert gaps[1] >= 0.4
        assert gaps[2] >= 0.8
        site.end()
        printed = site.printed()
    assert "fragile ended with code 3; starting it again in" in printed
    assert "Its last line: out of luck" in printed


def test_exit_code_75_starts_again_at_once_and_says_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path, worker=ASKS_FOR_A_FRESH_START) as site:
        assert eventually(lambda: len(site.starts("worker")) >= 5)
        site.end()
        assert site.printed() == "ended\n"


def test_the_stages_end_one_after_the_other(tmp_path: Path) -> None:
    stages = {"broker": 2, "web": 1, "worker": 0}
    with supervised(tmp_path, stages, broker=NOTES_SIGTERM, web=NOTES_SIGTERM, worker=NOTES_SIGTERM) as site:
        assert site.all_started("broker", "web", "worker")
        site.end()
    ended = {name: float((tmp_path / f"{name}.ended").read_text()) for name in stages}
    assert ended["worker"] < ended["web"] < ended["broker"]


def test_every_line_goes_to_the_log_and_trouble_to_the_terminal(tmp_path: Path) -> None:
    talks = "print('INFO all is well'); print('ERROR the disk smells', flush=True); " + SLEEPS
    with supervised(tmp_path, web=talks) as site:
        log = tmp_path / "logs" / "web.log"
        assert eventually(lambda: log.exists() and "smells" in log.read_text())
        site.end()
        printed = site.printed()
    assert "web | INFO all is well" in log.read_text()
    assert printed == "web | ERROR the disk smells\nended\n"
