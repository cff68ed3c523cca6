"""What a claim and the outlook cost with long queues: `python -m benchmarks.scheduling`.

A fresh SQLite database under a temporary folder, no broker. Milliseconds of processor time, so that other load on the
machine does not count; the median of so many calls.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable
from statistics import median

os.environ["DELTABOARD_VAR"] = tempfile.mkdtemp(prefix="deltaboard-benchmark-")
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"

import django

django.setup()

from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from webapp.accounts.models import Team, User
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.jobs.models import Job, Worker
from webapp.jobs.outlook import outlook
from webapp.jobs.scheduling import Claim, claim, work_waits

CALLS = 20
TEAMS, PEOPLE = 5, 4
DEVICE = {"index": 0, "kind": "cuda", "name": "Toy", "memory_bytes": 24 * 1024**3, "memory_free_bytes": 24 * 1024**3}


def fill(jobs: int) -> None:
    """So many queued jobs of 5 teams with 4 people each, every fiftieth for two GPUs."""
    Job.objects.all().delete()
    teams = [Team.named(f"team-{number}") for number in range(TEAMS)]
    people = [User.objects.get_or_create(username=f"person-{number}")[0] for number in range(TEAMS * PEOPLE)]
    model, _ = BaseModel.objects.get_or_create(name="toy", source="starter", state="ready")
    dataset, _ = Dataset.objects.get_or_create(team=teams[0], name="rows")
    version, _ = DatasetVersion.objects.get_or_create(
        dataset=dataset, number=1, defaults={"upload_name": "a", "upload_key": "", "upload_bytes": 1}
    )
    Job.objects.bulk_create(
        Job(
            team=teams[number % TEAMS],
            created_by=people[number % (TEAMS * PEOPLE)],
            name=f"job {number}",
            base_model=model,
            dataset_version=version,
            method="lora",
            task="causal-lm",
            spec={},
            queue_position=float(number),
            gpus=2 if number % 50 == 49 else 1,
            least_memory_bytes=8 * 1024**3,
        )
        for number in range(jobs)
    )


def milliseconds(call: Callable[[int], object]) -> tuple[float, int]:
    """Median processor time of a call, and the queries of the first."""
    with CaptureQueriesContext(connection) as asked:
        call(0)
    taken = []
    for number in range(1, CALLS + 1):
        begun = time.thread_time()
        call(number)
        taken.append(1000 * (time.thread_time() - begun))
    return median(taken), len(asked)


def figures(jobs: int, worker: Worker) -> None:
    """One line for each question asked of a queue of this length."""
    fill(jobs)
    queued = list(Job.objects.all())
    Worker.objects.update(last_hello_at=timezone.now())
    mark = secrets.token_hex(4)
    calls: dict[str, Callable[[int], object]] = {
        "outlook of all": lambda _: outlook(queued),
        "outlook of one job": lambda _: outlook(queued[:1]),
        "does work wait (hello)": lambda _: work_waits(worker),
        "claim": lambda number: claim(worker, Claim(f"{mark}{number}", "b", 0, 1, [DEVICE])),
    }
    for what, call in calls.items():
        taken, asked = milliseconds(call)
        print(f"{jobs:>8,} {what:<28} {taken:>8.1f} {asked:>8}")


def main() -> None:
    call_command("migrate", verbosity=0)
    report = {"devices": [{**DEVICE, "index": index} for index in range(8)], "slots": 8, "protocol": 2}
    for number in range(4):
        Worker.objects.create(name=f"w{number}", boot_id="b", last_hello_at=timezone.now(), report=report)
    print(f"{'queued':>8} {'what':<28} {'ms':>8} {'queries':>8}")
    for jobs in (1000, 10_000):
        figures(jobs, Worker.objects.get(name="w0"))


if __name__ == "__main__":
    main()
