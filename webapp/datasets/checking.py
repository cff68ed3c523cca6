"""Reads an uploaded file in a child process with limits: its death is an answer, not an outage.

The child has its own session, an empty environment, an isolated interpreter without Django, and what confinement.py
takes away. What is in the file is for reading.py to say.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from webapp.datasets.canonical import REMARKS, SAMPLE
from webapp.datasets.confinement import confine
from webapp.datasets.limits import MIB, Limits
from webapp.datasets.problems import Problems
from webapp.datasets.progress import PROGRESS, told_in
from webapp.datasets.reading import SECOND, Report, read

SITE = Path(__file__).resolve().parent.parent
# Importing the package `webapp` starts the site's Celery app; the child gets the same package without that.
START = """
import sys, types
webapp = types.ModuleType("webapp")
webapp.__path__ = [sys.argv[1]]
sys.modules["webapp"] = webapp
from webapp.datasets.checking import main
main()
"""
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
ENVIRONMENT["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve address space, which is limited
EXIT_HOST = 74
"""The host failed, not the file: the last line of stderr says how."""


LOOK_EVERY_SECONDS = 0.5
"""Between two looks at how far the child is, and whether anybody still wants the answer."""


class Unwanted(Exception):
    """The check was ended because nobody waits for it any more. Nothing was left behind."""


class CheckFailed(Exception):
    """The check could not run, for a reason that is not the file's: disk full, folder gone. Nothing was left behind."""


def check(
    source: Path,
    name: str,
    destination: Path,
    task: str | None = None,
    mapping: dict[str, Any] | None = None,
    split: dict[str, Any] | None = None,
    limits: Limits | None = None,
    choices: dict[str, Any] | None = None,
    second: tuple[Path, str] | None = None,
    still_wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> Report:
    """The report on one file, and a second one that is held out. Raises CheckFailed, or Unwanted once it is.

    `still_wanted` is asked every half second, and told what progress.py says.

    `source` is only read. `destination` is written only if the state is `ready`, `<name>.remarks` and `<name>.problems`
    if there are any, `<name>.sample` if the rows of a draft wait for a decision; beside it `<name>.draft`, `.marks`,
    `.part`, `.progress`, `.unpacked` and `.utf8` live while it runs, so its folder must exist and may need five times
    the room of the file.
    """
    limits = limits or Limits()
    if not destination.parent.is_dir():
        raise CheckFailed(f"The check of {name} could not run: its folder is gone.")
    asked = {
        "source": str(source.absolute()),
        "name": name,
        "destination": str(destination.absolute()),
        "task": task,
        "mapping": mapping,
        "split": split,
        "choices": choices,
        "second": second and [str(second[0].absolute()), second[1]],
        "limits": dataclasses.asdict(limits),
        "parent": os.getpid(),
    }
    try:
        code, answer, complaint = _run(json.dumps(asked).encode(), destination, limits, still_wanted)
    except Unwanted:
        _clear(destination)
        raise
    if code == 0:
        return Report(**json.loads(answer))
    _clear(destination)
    if code == EXIT_HOST:
        raise CheckFailed(f"The check of {name} could not run: {complaint.strip().splitlines()[-1]}.")
    return _unfinished(name, code, limits, source.stat().st_size)


def _run(
    question: bytes, destination: Path, limits: Limits, still_wanted: Callable[[dict[str, Any]], bool]
) -> tuple[int | None, bytes, str]:
    """Exit status (None: it took too long), answer, complaint. Raises Unwanted."""
    until = time.monotonic() + limits.wall_seconds
    unsent: bytes | None = question
    command = [sys.executable, "-I", "-B", "-c", START, str(SITE)]
    with subprocess.Popen(
        command,
        env=ENVIRONMENT,
        cwd=destination.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            while True:
                left = max(0.0, until - time.monotonic())
                try:
                    answer, complaint = child.communicate(unsent, timeout=min(left, LOOK_EVERY_SECONDS))
                    return child.returncode, answer, complaint.decode("utf-8", "replace")
                except subprocess.TimeoutExpired:
                    unsent = None
                    if not left:
                        return None, b"", ""
                    if not still_wanted(told_in(destination)):
                        raise Unwanted from None
        finally:
            child.kill()


def _clear(destination: Path) -> None:
    endings = ["", ".draft", ".marks", ".part", ".utf8", ".unpacked", ".problems", REMARKS, SAMPLE]
    for ending in (*endings, PROGRESS, f"{PROGRESS}.new", f"{SECOND}.utf8", f"{SECOND}.unpacked"):
        destination.with_name(destination.name + ending).unlink(missing_ok=True)


def _unfinished(name: str, code: int | None, limits: Limits, source_bytes: int) -> Report:
    """The child died or was ended."""
    problems = Problems(name)
    if code in (None, -signal.SIGXCPU):
        allowed = limits.wall_seconds if code is None else limits.cpu_seconds_for(source_bytes)
        message = f"The check was ended after {allowed:,} seconds, its limit."
        problems.error("check_too_long", message, "Split the file, or ask the site's admin for more time.")
    elif code == errno.EFBIG:
        limit = limits.output_bytes_for(source_bytes) / MIB
        message = f"The rows take more than {limit:,.0f} MiB, the limit for a file of {source_bytes:,} bytes."
        problems.error("expands_too_far", message, "Split the file.")
    else:
        message = "The file is damaged or hostile: reading it stopped our checker."
        problems.error("parser_died", message, "Export the file again; split it if it is very large.")
    return Report("refused", problems=problems.as_json(), problems_total=problems.total)


# ---- In the child --------------------------------------------------------------------------------


def main() -> None:
    """Answer the question on stdin with a report on stdout."""
    asked = json.load(sys.stdin)
    limits = Limits(**asked.pop("limits"))
    source, destination = Path(asked.pop("source")), Path(asked.pop("destination"))
    second = (Path(asked["second"][0]), str(asked["second"][1])) if asked["second"] else None
    asked["second"] = second
    try:
        size = source.stat().st_size + (second[0].stat().st_size if second else 0)
        layers = confine(limits, size, asked.pop("parent"))
        report = read(source, asked.pop("name"), destination, limits=limits, **asked)
    except OSError as error:
        print(error.strerror or "the host refused", file=sys.stderr)  # noqa: T201 - this is the answer to the parent
        sys.exit(errno.EFBIG if error.errno == errno.EFBIG else EXIT_HOST)
    report.isolation = layers
    json.dump(dataclasses.asdict(report), sys.stdout)
