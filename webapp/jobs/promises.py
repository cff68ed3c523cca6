"""What this site promises about jobs, and which tests prove it.

A promise names lines of the fault table; `proofs.json` holds the tests that carry those lines' marker. It is written by
`python -m tests.faults.proofs`, and a test holds it against the tests as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROOFS = Path(__file__).with_name("proofs.json")


@dataclass(frozen=True)
class Promise:
    number: int
    title: str
    sentence: str
    faults: tuple[int, ...]
    """Lines of the fault table whose tests hold it."""


PROMISES = (
    Promise(
        1,
        "Durable",
        "A job that was accepted never vanishes. The broker may be wiped at any moment; what is queued starts on idle "
        "workers within 30 seconds.",
        (13, 14, 15, 58),
    ),
    Promise(
        2,
        "One writer",
        "At most one attempt of a job has its writes accepted. A stale one is refused and ends its training within "
        "five seconds.",
        (6, 10, 11, 12),
    ),
    Promise(
        3,
        "A lost worker costs seconds",
        "A silent worker's job runs again within 45 seconds of its death. An outage of the site itself loses no "
        "attempt.",
        (1, 2, 19, 61),
    ),
    Promise(
        4,
        "Resume is exact",
        "A job goes on from its newest complete checkpoint. On a CPU, weights and metrics equal those of an "
        "undisturbed run, and no step is counted twice.",
        (1, 3, 4, 49),
    ),
    Promise(
        5,
        "Cancel means cancel",
        "It is shown at once, the whole process tree is gone within twelve seconds, and the job never starts again.",
        (34, 38, 39),
    ),
    Promise(
        6,
        "No orphans",
        "No process of an ended attempt outlives its end by more than fifteen seconds. A worker without an answer "
        "from the site stops its training after fifteen minutes.",
        (1, 34, 63),
    ),
    Promise(7, "Order", "The order of the queue is the same before and after any restart.", (13, 51)),
    Promise(
        8,
        "Drain",
        "A worker that is shut down saves a checkpoint and gives its job back; that is not counted as a failure. A "
        "deployment fails no job.",
        (7, 42),
    ),
    Promise(
        9,
        "Honest states",
        "End states never change, and each names its reason with the end of the log. Nothing is called running when "
        "nothing runs.",
        (2, 30, 32, 33, 35, 56),
    ),
    Promise(
        10,
        "Artifacts are whole",
        "An artifact is seen only when every file is there with its sha256. A damaged one is found, marked, and never "
        "handed out.",
        (5, 48),
    ),
    Promise(
        11,
        "A full disk loses nothing",
        "Uploads and new jobs are refused before the disk is full; the last good checkpoint stays.",
        (25, 26, 27, 28),
    ),
    Promise(
        12,
        "No poison",
        "A job that ends its worker three times is given up, and the others go on.",
        (31, 37),
    ),
    Promise(
        13,
        "The live view has no gap",
        "A page that lost its stream gets every event once. A reader that is too slow is cut and catches up.",
        (41, 43),
    ),
    Promise(
        14,
        "Uploads resume",
        "An upload that was cut goes on where it was, checked by sha256.",
        (45, 46),
    ),
    Promise(
        15,
        "Isolation",
        "One person's flood, bomb or hostile training does not hold up the others.",
        (36, 44, 62),
    ),
)


@cache
def _tests_by_fault() -> dict[str, list[str]]:
    read: dict[str, list[str]] = json.loads(PROOFS.read_text())
    return read


def proofs(promise: Promise) -> list[str]:
    """Ids of the tests that prove it, in order, each once."""
    by_fault = _tests_by_fault()
    return sorted({test for fault in promise.faults for test in by_fault.get(str(fault), [])})
