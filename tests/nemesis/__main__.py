"""`python3 manage.py test --nemesis SECONDS --seed N [--postgresql]`: breaks a real site for so long, then judges it.

Prints the seed, every fault as it begins, counts, and what each invariant found; exit code 1 if one is broken, and
then the folder with all logs and journals stays.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.nemesis.checker import INVARIANTS, broken
from tests.nemesis.evidence import Evidence
from tests.nemesis.running import CLIENTS, WORKERS, run
from tests.nemesis.site import running_site
from tests.nemesis.soak import growth

SHOWN = 12


def main() -> int:
    asked = _arguments()
    folder = Path(tempfile.mkdtemp(prefix=f"deltaboard-nemesis-{asked.seed}-"))
    jobs = asked.jobs or max(12, round(asked.seconds / 2))
    print(
        f"Nemesis: seed {asked.seed}, {asked.seconds:.0f} s, {jobs} jobs, {WORKERS} workers, {CLIENTS} clients, "
        f"{'PostgreSQL' if asked.postgresql else 'SQLite'}, {folder}",
        flush=True,
    )
    began = time.monotonic()
    with running_site(folder, people=CLIENTS, workers=WORKERS, postgresql=asked.postgresql) as site:
        evidence = run(site, asked.seconds, asked.seed, jobs)
    found = broken(evidence)
    _report(evidence, found, time.monotonic() - began)
    if any(found.values()):
        print(f"\nRED. Seed {asked.seed}. Everything is kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(f"\nGREEN. Seed {asked.seed}.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("manage.py test --nemesis", description=__doc__)
    parser.add_argument("seconds", type=float, help="how long faults are drawn")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=0, help="jobs to submit; one every two seconds")
    parser.add_argument("--postgresql", action="store_true", help="PostgreSQL from its wheel instead of SQLite")
    return parser.parse_args()


def _report(evidence: Evidence, found: dict[str, list[str]], seconds: float) -> None:
    journal = evidence.journal
    states = Counter(job.state for job in evidence.jobs)
    reasons = Counter(attempt.reason_code or attempt.outcome for attempt in evidence.attempts)
    answers = Counter(str(entry.status or "none") for entry in journal if entry.op not in ("fault", "heal", "sample"))
    print(f"\nAfter {seconds:.0f} s on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python", end=" ")
    print(f"{platform.python_version()}:")
    print(f"  faults    {sum(entry.op == 'fault' for entry in journal)}")
    print(f"  jobs      {len(evidence.jobs)}: {_counts(states)}")
    print(f"  attempts  {len(evidence.attempts)}: {_counts(reasons)}")
    print(f"  calls     {sum(answers.values())}: {_counts(answers)}")
    print(f"  streams   {sum(entry.op == 'stream' for entry in journal)} connections with events")
    print(f"  restarts  {len(evidence.orders)} with the queue compared")
    print(f"  web       {growth(journal)}\n")
    for name, invariant in INVARIANTS.items():
        said = (invariant.__doc__ or "").split("\n")[0]
        print(f"{'ok    ' if not found[name] else 'BROKEN'} {name:<5}{said.removeprefix(f'{name}. ')}")
        for line in found[name][:SHOWN]:
            print(f"            {line}")
        if len(found[name]) > SHOWN:
            print(f"            and {len(found[name]) - SHOWN} more")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


if __name__ == "__main__":
    sys.exit(main())
