"""How a job is to be queued: GPUs, pool, priority, earliest start. Form, API and check read this one list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from workers.methods.options import Options, OptionsError, option
from workers.protocol import DEFAULT_POOL

AN_EXAMPLE = "2027-01-31T18:00+01:00"


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
        if not 1 <= len(pool) <= 40:
            hint = f"Use the name of a pool from the Workers page, such as {DEFAULT_POOL}."
            raise OptionsError("pool", "`pool` is empty or longer than 40 characters.", hint)
        object.__setattr__(self, "pool", pool)
        _ = self.starts_after

    @property
    def starts_after(self) -> datetime | None:
        """`run_after` as a moment. Raises OptionsError unless it is one, in the future."""
        text = self.run_after.strip()
        if not text:
            return None
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            raise OptionsError("run_after", f"`run_after` is {text!r}, not a time.", f"Write it like {AN_EXAMPLE}.")
        if timezone.is_naive(moment):
            message = "`run_after` says no time zone, so the moment is not certain."
            raise OptionsError("run_after", message, f"Add the offset from UTC, like {AN_EXAMPLE}, or Z for UTC.")
        if moment <= timezone.now():
            raise OptionsError("run_after", f"`run_after` is {text}, which has passed.", "Leave it out to start now.")
        return moment
