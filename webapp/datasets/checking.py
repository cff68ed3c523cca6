"""Reads an uploaded file in a child process with limits: its death is an answer, not an outage.

Limits: address space, CPU time, file size, open files, no core dumps; own session, empty environment, and no network
where the host lets an unprivileged process give it up. What is in the file is for reading.py to say.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems
from webapp.datasets.reading import Report, read

ROOT = Path(__file__).resolve().parent.parent.parent
PR_SET_PDEATHSIG, CLONE_NEWUSER, CLONE_NEWNET = 1, 0x10000000, 0x40000000


def check(
    source: Path,
    name: str,
    destination: Path,
    task: str | None = None,
    mapping: dict[str, str] | None = None,
    split: dict[str, Any] | None = None,
    limits: Limits | None = None,
) -> Report:
    """The report on one file; `destination` exists afterwards only if its state is `ready`."""
    limits = limits or Limits()
    asked = {
        "source": str(source),
        "name": name,
        "destination": str(destination),
        "task": task,
        "mapping": mapping,
        "split": split,
        "limits": dataclasses.asdict(limits),
    }
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "webapp.datasets.checking"]
    with subprocess.Popen(
        command,
        env=environment,
        cwd=destination.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            answer, _ = child.communicate(json.dumps(asked).encode(), timeout=limits.wall_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return _unfinished(name, destination, f"it took over {limits.wall_seconds:,} seconds")
    if child.returncode == 0:
        return Report(**json.loads(answer))
    return _unfinished(name, destination, "")


def _unfinished(name: str, destination: Path, reason: str) -> Report:
    """The child died or was ended: nothing of it stays."""
    for leftover in destination.parent.glob(f"{destination.stem}.*"):
        leftover.unlink()
    problems = Problems(name)
    if reason:
        hint = "Split the file, or ask the site's admin for more time."
        problems.error("check_too_long", f"The check was ended: {reason}.", hint)
    else:
        message = "The file is damaged or hostile: reading it stopped our checker."
        problems.error("parser_died", message, "Export the file again; split it if it is very large.")
    return Report("refused", problems=problems.as_json(), problems_total=problems.total)


# ---- In the child --------------------------------------------------------------------------------


def confine(limits: Limits, source_bytes: int) -> None:
    """Give up what reading a file does not need. Raises OSError where a limit cannot be set: fail closed."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # best effort: some hosts forbid it
    cpu = limits.cpu_seconds + limits.cpu_seconds_per_gigabyte * source_bytes // 1024**3
    room = max(64 * 1024**2, 4 * source_bytes)
    wanted = {
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: room,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        wanted[resource.RLIMIT_AS] = limits.memory_bytes
    for kind, value in wanted.items():
        resource.setrlimit(kind, (value, value))


def main() -> None:
    asked = json.load(sys.stdin)
    limits = Limits(**asked.pop("limits"))
    source, destination = Path(asked.pop("source")), Path(asked.pop("destination"))
    confine(limits, source.stat().st_size)
    report = read(source, asked.pop("name"), destination, limits=limits, **asked)
    json.dump(dataclasses.asdict(report), sys.stdout)


if __name__ == "__main__":
    main()
