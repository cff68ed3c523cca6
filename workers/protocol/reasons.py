"""Why an attempt ends: which ends count towards the cap, which put a job back, which are never tried again."""

from __future__ import annotations

from typing import Literal

MAX_INFRASTRUCTURE_ENDS = 3

INFRASTRUCTURE_REASONS = frozenset(
    {
        "worker_lost",
        "trainer_killed",
        "host_oom",
        "stalled",
        "disk_full",
        "storage_unreachable",
        "checkpoint_unreadable",
    }
)
"""Ends that count towards the cap and are tried again."""

UNCOUNTED_REASONS = frozenset({"not_acked", "drained", "paused_by_user", "worker_cut_off", "site_restored"})
"""Ends that put the job back without counting."""

USER_REASONS = frozenset(
    {
        "bad_config",
        "bad_data",
        "no_trainable_tokens",
        "gpu_oom",
        "diverged",
        "trainer_error",
        "no_output",
        "time_limit",
        "unsafe_file",
    }
)
"""Ends that are never retried: the same job would end the same way."""

Wish = Literal["run", "pause", "cancel"]
Outcome = Literal["succeeded", "failed", "released", "cancelled"]
"""How an attempt says it ended. `released` gives the job back (drained, paused)."""
