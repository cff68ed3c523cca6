"""What a job's model said to the same held-out prompts along its training, and how two moments differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Max, Q

from webapp.jobs.log_text import plain
from webapp.jobs.models import Event, Job

ROUNDS_AT_MOST = 400
ANSWERS_AT_MOST, LONGEST = 8, 4000
"""Of one evaluation, and characters of one text."""
TEXTS = ("prompt", "wanted", "said")
WORDS = re.compile(r"^\s+|\S+\s*")
COMPARED_AT_MOST = 40_000
"""Words of the one text times those of the other: beyond it, repeats would hold the page up for a minute."""


@dataclass(frozen=True)
class Answer:
    """One prompt: its text, what the held-out row answers, what the model said."""

    prompt: str
    wanted: str
    said: str


@dataclass(frozen=True)
class Round:
    """All answers of one evaluation."""

    step: int
    answers: tuple[Answer, ...]

    @property
    def title(self) -> str:
        """Before the first step the delta has changed nothing yet."""
        return f"step {self.step:,}" if self.step else "before training, step 0"

    def said_to(self, prompt: str) -> str | None:
        """None where it was not asked."""
        return next((each.said for each in self.answers if each.prompt == prompt), None)


def rounds(job: Job) -> list[Round]:
    """By step; of a step that two attempts have, the later one's. Reports are claims: what does not fit is out."""
    rows = Event.objects.filter(job=job, kind="phase", body__has_key="samples").order_by("-number")[:ROUNDS_AT_MOST]
    found: dict[int, Round] = {}
    for body in rows.values_list("body", flat=True):
        step, answers = body.get("step"), _answers(body["samples"])
        if isinstance(step, int) and answers:
            found.setdefault(step, Round(step, answers))
    return [found[step] for step in sorted(found)]


def newest(jobs: Sequence[Job]) -> dict[int, Round]:
    """The newest answers of each job, by its id."""
    told = Event.objects.filter(job__in=jobs, kind="phase", body__has_key="samples")
    last = told.values_list("job_id").annotate(last=Max("number"))
    places = [Q(job_id=job_id, number=number) for job_id, number in last]
    found = {}
    for job_id, body in Event.objects.filter(reduce(or_, places)).values_list("job_id", "body") if places else ():
        if isinstance(body.get("step"), int) and (answers := _answers(body["samples"])):
            found[job_id] = Round(body["step"], answers)
    return found


def _answers(told: Any) -> tuple[Answer, ...]:
    return tuple(Answer(**each) for each in bounded(told))


def bounded(told: Any) -> list[dict[str, str]]:
    """As much of what a worker reports as is ever shown, as plain text; what does not look like an answer is out."""
    listed = told[:ANSWERS_AT_MOST] if isinstance(told, list) else []
    return [
        {name: plain(str(each.get(name, ""))[:LONGEST]) for name in TEXTS} for each in listed if isinstance(each, dict)
    ]


def at(found: Sequence[Round], text: str | None, otherwise: int) -> Round | None:
    """The round of a step given as text; where there is none, the one at this place."""
    chosen = next((each for each in found if str(each.step) == text), None)
    return chosen or (found[otherwise] if found else None)


@dataclass(frozen=True)
class Piece:
    """A run of words: kept, added or removed."""

    kind: str
    text: str


def difference(before: str, after: str) -> list[Piece]:
    """From the one text to the other, by whole words."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    if len(old) * len(new) > COMPARED_AT_MOST:
        return [Piece("kept", before)] if before == after else [Piece("removed", before), Piece("added", after)]
    pieces = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("kept", "".join(old[a:b])))
            continue
        pieces += [Piece("removed", "".join(old[a:b]))] if b > a else []
        pieces += [Piece("added", "".join(new[c:d]))] if d > c else []
    return pieces


@dataclass(frozen=True)
class Pair:
    """One prompt at two moments."""

    prompt: str
    wanted: str
    before: str
    after: str
    pieces: list[Piece]


def pairs(first: Round, second: Round) -> list[Pair]:
    """Prompts that both moments have, in their order."""
    later = {each.prompt: each.said for each in second.answers}
    return [
        Pair(each.prompt, each.wanted, each.said, later[each.prompt], difference(each.said, later[each.prompt]))
        for each in first.answers
        if each.prompt in later
    ]
