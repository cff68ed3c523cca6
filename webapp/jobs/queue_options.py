"""How a job is to be queued: GPUs, pool, priority, earliest start. Form, API and check read this one list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from workers.methods.options import Options, OptionsError, option
from workers.protocol import DEFAULT_POOL, POOL_RULE, is_pool

AN_EXAMPLE = "2027-01-31T18:00+01:00"
LATEST = timedelta(days=366)


@dataclass(frozen=True)
class QueueOptions(Options):
    """What does not change the training, but when and where it runs."""

    gpus: int = option(
        1,
        "GPUs (or CPU slots) of one machine that train it together; the batch size counts over all of them.",
        minimum=1,
        maximum=64,
    )
    priority: int = option(
        0,
        "Higher goes first, whatever the fair shares say; above 0 needs the role maintainer.",
        minimum=-100,
        maximum=100,
    )
    pool: str = option(DEFAULT_POOL, "Workers of this pool, or with this label (a kind of GPU, say), may take it.")
    run_after: str = option("", f"Not before this moment, with its UTC offset, such as {AN_EXAMPLE}.")

    def __post_init__(self) -> None:
        super().__post_init__()
        pool = self.pool.strip()
        if not is_pool(pool):
            hint = f"Use the name of a pool from the Workers page, such as {DEFAULT_POOL}. {POOL_RULE}"
            raise OptionsError("pool", f"`pool` is {pool[:60]!r}, which is not the name of a pool.", hint)
        object.__setattr__(self, "pool", pool)
        _ = self.starts_after

    @property
    def starts_after(self) -> datetime | None:
        """`run_after` as a moment in UTC. Raises OptionsError unless it is one, within a year from now."""
        text = self.run_after.strip()
        if not text:
            return None
        moment = _moment(text)
        if moment is None:
            message = f"`run_after` is {text[:60]!r}, not a time."
            raise OptionsError("run_after", message, f"Write it like {AN_EXAMPLE}.")
        if timezone.is_naive(moment):
            message = "`run_after` says no time zone, so the moment is not certain."
            raise OptionsError("run_after", message, f"Add the offset from UTC, like {AN_EXAMPLE}, or Z for UTC.")
        if moment <= timezone.now():
            raise OptionsError("run_after", f"`run_after` is {text}, which has passed.", "Leave it out to start now.")
        if moment > timezone.now() + LATEST:
            raise OptionsError("run_after", f"`run_after` is {text}, over a year ahead.", "Name an earlier moment.")
        return moment


def _moment(text: str) -> datetime | None:
    """In UTC where it names an offset; None for what is no time, or leaves the calendar on its way to UTC."""
    try:
        moment = parse_datetime(text) if text.isascii() else None
        return moment.astimezone(UTC) if moment and timezone.is_aware(moment) else moment
    except (ValueError, OverflowError):
        return None
