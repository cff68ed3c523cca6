"""Makes `.venv` on first use, completes it when the package list changes, and goes on inside; pip installs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from launcher.folders import MANAGE, ROOT, require_space, waiting_lock
from launcher.installing import install
from launcher.refusal import Refusal, says_disk_full
from launcher.requirements import Group

ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"


def ensure(*groups: Group) -> None:
    """Returns inside an environment that has these groups; where the process is outside, it starts anew inside.

    DELTABOARD_NO_BOOTSTRAP=1 trusts the running Python as it is: containers, and environments made by hand.
    """
    if os.environ.get("DELTABOARD_NO_BOOTSTRAP") == "1":
        return
    if not all(_stands(group) for group in groups):
        build(groups)
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        _continue_inside()


def build(groups: tuple[Group, ...]) -> None:
    """Makes the environment and installs what is missing in it; one process at a time, the others wait."""
    lock = ROOT / "var" / "environment.lock"
    lock.parent.mkdir(mode=0o700, exist_ok=True)
    with waiting_lock(lock, "Another command is installing packages in this folder; waiting for it."):
        missing = [group for group in groups if not _stands(group)]
        if not missing:
            return
        require_space(ROOT, sum(group.size_mb for group in missing), "the installation")
        _make()
        for group in missing:
            _install(group)


def _stamp(group: Group) -> Path:
    """Written last: a group without it, or with another fingerprint, counts as not installed."""
    return ENVIRONMENT / f"deltaboard-{group.name}.stamp"


def _stands(group: Group) -> bool:
    stamp = _stamp(group)
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == group.fingerprint()


def _make() -> None:
    """An environment with a working pip of this Python: the one that is there, or a new one."""
    if ENVIRONMENT.exists():
        if _usable():
            if not any(ENVIRONMENT.glob("deltaboard-*.stamp")):
                print("The environment in .venv is half made; completing it.", flush=True)
            return
        print("The environment in .venv is half made or belongs to another Python; making it anew.", flush=True)
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise Refusal(
            "This Python comes without its venv module. On Debian and Ubuntu: apt install python3-venv. "
            "Then start the same command again."
        )
    made = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-m", "venv", "--clear", str(ENVIRONMENT)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if made.returncode:
        raise Refusal(_why_not_made(made.stdout))


def _usable() -> bool:
    """Whether the environment's Python starts, is of our minor version, has pip, and no package is half there."""
    if any(not (info / "RECORD").exists() for info in ENVIRONMENT.glob("lib/*/site-packages/*.dist-info")):
        return False  # pip writes the record last, yet takes a package without one for installed
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


def _why_not_made(output: str) -> str:
    if says_disk_full(output):
        return "The disk is full: .venv could not be made. Free some space and start the same command again."
    return f"The environment in {ENVIRONMENT} could not be made: {' '.join(output.split()) or 'no reason given'}"


def _install(group: Group) -> None:
    print(f"Installing {group.title} into .venv (about {group.size_mb:,} MB{group.size_note})", flush=True)
    install(PYTHON, group.packages(), ROOT / "var" / "logs" / "install.log")
    part = _stamp(group).with_suffix(".part")
    part.write_text(group.fingerprint())
    part.replace(_stamp(group))


def _continue_inside() -> NoReturn:
    sys.stdout.flush()
    os.execv(PYTHON, [str(PYTHON), str(MANAGE), *sys.argv[1:]])
