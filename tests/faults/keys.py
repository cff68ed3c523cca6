"""The helping process of `key_maker`: `python -m tests.faults.keys`, one `NAME POOL` a line in, one key a line out."""

from __future__ import annotations

import sys

import django
from django.db import connection

django.setup()

from webapp.jobs.enrolling import make_key  # noqa: E402  (models exist only after setup)


def main() -> None:
    for line in sys.stdin:
        name, pool = line.split()
        _, key = make_key(name, pool=pool)
        connection.close()
        sys.stdout.write(f"{key}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
