"""`manage.py test`: the linters, the type checker, then pytest; or the nemesis alone. The tests lie in tests/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from launcher import environment
from launcher.folders import ROOT
from launcher.refusal import Refusal
from launcher.requirements import SITE, TEST, WORKER

CHECKS = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "."))
FAST = ["-m", "not slow and not browser"]
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""Much of the time goes by waiting for real processes. The tests of one file share what they start."""
SECOND_TRY = ["--reruns", "1", "--max-suite-reruns", "3", "--rerun-show-tracebacks"]
"""Of real processes against the clock, some miss it on a machine that other work slows down. What failed once is shown
with its traceback all the same, and more than a few are no accident."""
ON_POSTGRES = ["-m", "not browser and (not slow or both_databases)", "tests/jobs", "tests/accounts", "tests/faults"]
"""Tests whose subject is the queue and who may see what: they run once more on a real PostgreSQL."""
NEMESIS = "--nemesis"
USAGE = """\
manage.py test [--fast] [any argument of pytest]
manage.py test --nemesis SECONDS [--seed N] [--postgresql]

--fast leaves out the slow tests, those in a browser, and the second round on PostgreSQL.
--nemesis breaks a real site for so long and judges it after."""


def find_chromium() -> str | None:
    """The Chromium or Chrome on PATH that browser tests drive; None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def run_tests(line: list[str]) -> int:
    """Runs every check and all tests, whatever fails before; the exit code of the first that failed."""
    if NEMESIS in line:
        return _run_nemesis([word for word in line if word != NEMESIS])
    fast = "--fast" in line
    wanted = [word for word in line if word != "--fast"]
    if {"-h", "--help"} & set(wanted):
        print(USAGE)
        return 0
    if not fast and find_chromium() is None:
        _miss_chromium()
    environment.ensure(SITE, WORKER, TEST)
    codes = [_show(*check) for check in CHECKS]
    if any(codes):
        failed = [" ".join(check[:-1]) for check, code in zip(CHECKS, codes, strict=True) if code]
        print(f"\nFailed so far: {', '.join(failed)}. The tests run all the same.", flush=True)
    everything = [*TWO_AT_A_TIME, *SECOND_TRY] if not wanted else []
    codes.append(_show("pytest", *(FAST if fast else []), *everything, *wanted))
    if not fast and not wanted:
        codes.append(_show("launcher.postgres", sys.executable, "-m", "pytest", *everything, *ON_POSTGRES))
    return next((code for code in codes if code), 0)


def _run_nemesis(words: list[str]) -> int:
    """Broker, web, housekeeping and workers under kills and cuts; 1 if a promise was broken."""
    environment.ensure(SITE, WORKER, TEST)
    return subprocess.run([sys.executable, "-m", "tests.nemesis", *words], cwd=ROOT).returncode


def _show(*words: str) -> int:
    print(f"\n$ {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT).returncode


def _miss_chromium() -> None:
    """A person may go on without a browser; the machine that decides about a change may not."""
    if os.environ.get("CI"):
        raise Refusal(
            "Chromium is missing, and CI is set: the browser tests must run. Install it: apt install chromium"
        )
    print("Chromium is missing: the browser tests will be skipped. To run them: apt install chromium", flush=True)
