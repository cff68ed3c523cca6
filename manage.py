#!/usr/bin/env python3
"""Deltaboard's command line: `up`, `test`, `worker`, and Django's commands; makes `.venv` on first use.

This file alone must be readable by an old Python, to say that it is too old; the work is in launcher/.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told so
    sys.exit(
        "Deltaboard needs Python 3.11 or newer; this is Python %d.%d. "  # noqa: UP031
        "Install a newer one and name it: python3.12 manage.py ..." % sys.version_info[:2]
    )
if sys.platform == "win32":
    sys.exit("Deltaboard runs on Linux and macOS. On Windows, use it inside WSL: wsl --install")

from launcher.commands import run  # only a Python that is new enough can read it

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
