"""Run once after a backup was brought back, before the site is started: `python manage.py restored`.

How to back up a working site, in this order:

1. the database: `pg_dump`, or for SQLite `sqlite3 deltaboard.sqlite3 ".backup copy.sqlite3"` (a plain copy of the file
   may be torn);
2. then the stored files (`files/` of the data folder, or the bucket): they are only ever added, so every file that the
   database copy lists is among them;
3. the keys: `secret_key` and `encryption_key` of the data folder, or what SECRET_KEY and ENCRYPTION_KEYS hold.

After a restore the copy believes that attempts run which nobody has worked on since. This command ends each of them
with the reason `site_restored`, which counts against no job: the job keeps its place in the queue and goes on from its
newest checkpoint in the backup. A worker that still trains such an attempt is told so and stops. Running it twice does
no harm; without it the same attempts end as `worker_lost` when their leases run out, and count.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from webapp.jobs.restoring import end_what_was_running


class Command(BaseCommand):
    help = "After a restore from a backup: end the attempts that were running in it; their jobs go back to the queue."

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = end_what_was_running()
        for job in jobs:
            self.stdout.write(f"job {job.pk}: {job.state}")
        self.stdout.write(f"{len(jobs)} attempts ended. Start the site now.")
