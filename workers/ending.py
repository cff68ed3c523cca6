"""How an attempt ended: from what was asked of the trainer, its exit and its last words to one outcome and sentence."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from workers.protocol import EXIT_FENCED, EXIT_STOPPED, USER_REASONS, Outcome
from workers.walls.plan import CANNOT

TRAINER_REASONS = USER_REASONS | {"disk_full", "storage_unreachable", "checkpoint_unreadable", "host_oom"}
"""What a trainer may say of itself; the rest is for its supervisor to tell."""


class Stop(StrEnum):
    """Why the supervisor ended a training that still ran."""

    STALE = "stale"
    CANCEL = "cancel"
    PAUSE = "pause"
    DRAIN = "drain"
    CUT_OFF = "cut_off"
    STALLED = "stalled"


@dataclass(frozen=True)
class Exit:
    """The bare facts of a training's end."""

    returncode: int
    """Of the trainer; -N if signal N killed it."""
    stop: Stop | None = None
    failed: Mapping[str, Any] | None = None
    """The trainer's `failed` event."""
    has_artifact: bool = False
    out_of_memory: bool = False
    """The kernel killed a process for want of memory just before."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Limit and peak of the tree in bytes, where the host counts them."""
    no_progress_seconds: float = 0.0
    spoke: bool = True
    """It said something before it ended; one that never did was not even started by its machine."""


@dataclass(frozen=True)
class Ending:
    """What `end` tells the site. `succeeded` still needs the artifact to be handed in."""

    outcome: Outcome
    reason: str | None = None
    sentence: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


WISHED: dict[Stop, Ending] = {
    Stop.CANCEL: Ending("cancelled", "cancelled_by_user", "Cancelled on request."),
    Stop.PAUSE: Ending("released", "paused_by_user", "Paused on request."),
    Stop.DRAIN: Ending("released", "drained", "The worker was shut down; the job goes on from its newest checkpoint."),
    Stop.CUT_OFF: Ending(
        "released", "worker_cut_off", "The worker had no answer from the site for too long and stopped the training."
    ),
}


def how_it_ended(exit: Exit) -> Ending:
    """The ending of an attempt that the site still calls its own (not of a stale one)."""
    if exit.stop is Stop.CANCEL:
        return WISHED[Stop.CANCEL]
    if exit.returncode == 0 and exit.has_artifact and exit.failed is None:
        return Ending("succeeded")
    if exit.failed is not None:
        return _own_words(exit.failed)
    if exit.stop is Stop.STALLED:
        return _stalled(exit.no_progress_seconds)
    if exit.stop in WISHED:
        return WISHED[exit.stop]
    return _unasked(exit)


def _own_words(failed: Mapping[str, Any]) -> Ending:
    reason = str(failed.get("reason"))
    sentence = str(failed.get("sentence") or "The training process said that it failed, and no more.")
    detail = failed.get("detail")
    known = reason if reason in TRAINER_REASONS else "trainer_error"
    return Ending("failed", known, sentence, dict(detail) if isinstance(detail, dict) else {})


def _stalled(seconds: float) -> Ending:
    text = f"The training made no step and changed no phase for {seconds:,.0f} s; the log ends with where it stood."
    return Ending("failed", "stalled", text, {"no_progress_seconds": seconds})


def _unasked(exit: Exit) -> Ending:
    code = exit.returncode
    if code < 0:
        return _killed(-code, exit)
    if code == 0:
        return Ending("failed", "no_output", "The training process ended without an error, but left no delta artifact.")
    if code == EXIT_FENCED:
        text = "The worker stood still for longer than the lease, so the training stopped itself."
        return Ending("failed", "worker_lost", text)
    if code == CANNOT:
        text = "The training was not started: its sandbox could not be put up. The log's last line says why."
        return Ending("failed", "trainer_killed", text, {"exit_code": code})
    if code == EXIT_STOPPED:
        return Ending("failed", "trainer_killed", "Something on the worker's machine told the training to stop.")
    if not exit.spoke:
        text = f"The training ended with exit code {code} before it said anything; the log's last lines may say why."
        return Ending("failed", "trainer_killed", text, {"exit_code": code})
    text = f"The training process ended with exit code {code} and did not say why; the log's last lines may."
    return Ending("failed", "trainer_error", text, {"exit_code": code})


def _killed(number: int, exit: Exit) -> Ending:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    detail = {"signal": number, "signal_name": name}
    if exit.out_of_memory and number == signal.SIGKILL:
        return Ending("failed", "host_oom", _too_much(exit.memory), detail | dict(exit.memory))
    return Ending("failed", "trainer_killed", f"The training process was killed by {name} ({number}).", detail)


def _too_much(memory: Mapping[str, int]) -> str:
    advice = "Use a smaller batch or length."
    if limit := memory.get("memory_limit_bytes"):
        return f"The training needed more than the {limit / 1e6:,.0f} MB of memory that it may take here. {advice}"
    return f"The machine ran out of memory and killed the training process. {advice}"


def memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
