"""How long things may take, for both sides of the wall."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """How long things may take, in seconds. Tests pass shorter ones by environment."""

    batch_seconds: float = 1.0
    """An event batch, empty or not, is sent at least this often: it is the heartbeat."""
    lease_seconds: float = 30.0
    sweep_seconds: float = 5.0
    ack_limit_seconds: float = 15.0
    cancel_grace_seconds: float = 10.0
    """Between SIGTERM and SIGKILL of a training tree."""
    drain_limit_seconds: float = 120.0
    no_progress_seconds: float = 600.0
    cut_off_seconds: float = 900.0
    """A worker without any answer from the site stops its training after this long."""
    hello_seconds: float = 5.0
    third_attempt_seconds: float = 20.0
    """A job that two machines have failed waits so long before its third attempt."""
    sweep_gap_seconds: float = 10.0
    """If the last good sweep is longer ago, the site itself was away, and no worker is blamed for it."""
    no_sweep_seconds: float = 20.0
    """Without a sweep for so long the site is not well."""
    deaf_seconds: float = 15.0
    """Work waits and a slot is idle for so long, yet no permit came: the worker no longer hears its broker."""

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Timings:
        """Read `DELTABOARD_TIMINGS`, a JSON object with any of the fields above."""
        return cls(**json.loads(environment.get("DELTABOARD_TIMINGS", "{}")))
