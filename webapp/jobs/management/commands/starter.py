"""Installs the default entries of the starter catalogue and says how far they are."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.jobs.starter import StarterEntry, entries, install


class Command(BaseCommand):
    help = "Fetch the starter base models and datasets (the defaults, or those named)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="entries; none: the defaults")
        parser.add_argument("--wait", action="store_true", help="until everything is here, telling the progress")
        parser.add_argument("--timeout", type=float, default=900, help="seconds to wait at most")

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["names"] or [each.entry.name for each in entries() if each.entry.default]
        install(None, names)
        said: dict[str, str] = {}
        until = time.monotonic() + options["timeout"]
        while options["wait"] and time.monotonic() < until:
            wanted = [each for each in entries() if each.entry.name in names]
            for each in wanted:
                self._tell(each, said)
            if not any(each.on_its_way for each in wanted):
                break
            time.sleep(1)
        failed = [each.entry.title for each in entries() if each.entry.name in names and each.failed]
        if options["wait"] and failed:
            raise CommandError(f"Not installed: {', '.join(failed)}.")

    def _tell(self, each: StarterEntry, said: dict[str, str]) -> None:
        now = "waiting for a worker"
        if each.installed:
            now = "ready"
        elif each.inspection and each.inspection.problem:
            now = each.inspection.problem.get("message", "failed")
        elif each.inspection and each.inspection.progress_text:
            now = each.inspection.progress_text
        if said.get(each.entry.name) != now:
            said[each.entry.name] = now
            self.stdout.write(f"{each.entry.title}: {now}")
            self.stdout.flush()
