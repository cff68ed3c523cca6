"""Sorts manage.py's commands: every one that is not ours is Django's. Errors for a person become a sentence."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from launcher import environment
from launcher.folders import ROOT
from launcher.refusal import Refusal
from launcher.requirements import GROUPS, SITE, WORKER
from launcher.testing import run_tests
from launcher.up import up

USAGE = """\
python3 manage.py up           start Deltaboard on this machine (up --help: port, workers, starter set)
python3 manage.py test         run every check and test (--fast: without the slow and the browser tests)
python3 manage.py worker       work for a site: --site https://...
python3 manage.py createtoken  make an API token
python3 manage.py install      make .venv ahead of time: any of {groups}
python3 manage.py help         every other command

The first use makes .venv and installs what the command needs into it."""


def run(line: list[str]) -> int:
    """Runs one command line; the exit code."""
    name, rest = (line[0], line[1:]) if line else ("", [])
    try:
        command = _COMMANDS.get(name)
        return command(rest) if command else _django(line)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise
        print("The disk is full. Free some space and start the same command again.", file=sys.stderr)
    return 1


def _usage(_: list[str]) -> int:
    print(USAGE.format(groups=" ".join(GROUPS)))
    return 0


def _up(line: list[str]) -> int:
    up(line)
    return 0


def _install(names: list[str]) -> int:
    if unknown := [name for name in names if name not in GROUPS]:
        raise Refusal(f"There is no group {unknown[0]}. Choose from: {', '.join(GROUPS)}.")
    environment.build(tuple(GROUPS[name] for name in names or ["site"]))
    return 0


def _worker(line: list[str]) -> NoReturn:
    """Becomes the worker: its own argument parsing, enrolment and work are the other room's."""
    environment.ensure(SITE, WORKER)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "workers", *line])


def _django(line: list[str]) -> int:
    """Django's commands, the site's own among them."""
    environment.ensure(SITE)
    from django.core.management import execute_from_command_line  # only now does the package surely exist

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    execute_from_command_line(["manage.py", *line])
    return 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "": _usage,
    "--help": _usage,
    "-h": _usage,
    "up": _up,
    "test": run_tests,
    "worker": _worker,
    "install": _install,
}
