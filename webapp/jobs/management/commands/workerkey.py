"""Makes a one-time key for enrolling a worker and prints it alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.jobs.enrolling import NameTaken, make_key
from workers.protocol import DEFAULT_POOL, POOL_RULE, is_pool


class Command(BaseCommand):
    help = "Print a one-time key, good for an hour, for a worker of the shared pool."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--pool", default=DEFAULT_POOL)
        parser.add_argument("--embedded", action="store_true", help="started and watched by `up`")

    def handle(self, *args: Any, **options: Any) -> None:
        if not is_pool(options["pool"]):
            raise CommandError(f"--pool {options['pool']} is not the name of a pool. {POOL_RULE}")
        try:
            _, key = make_key(options["name"], pool=options["pool"], embedded=options["embedded"])
        except NameTaken as error:
            raise CommandError(str(error)) from error
        self.stdout.write(key)
