"""Celery between site and workers: a message is a permit to run the best job, and nothing else."""

from __future__ import annotations

import re
from typing import Any

RUN_NEXT_JOB = "workers.tasks.run_next_job"
DEFAULT_POOL = "default"
_POOL = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
POOL_RULE = "Use up to 40 of a-z, 0-9, dot, - and _, beginning with a letter or digit."


def is_pool(name: str) -> bool:
    """Whether a pool, or a label, may be called so."""
    return _POOL.fullmatch(name) is not None


def pool_queue(pool: str) -> str:
    """The queue that the workers of a pool share.

    Its own prefix: a bare name such as `unacked` or `worker-1` would be a key that Celery, or one worker, uses itself.
    """
    return f"pool.{pool}"


def worker_queue(worker_id: int) -> str:
    """The queue that only this worker listens to; permits for one idle slot go there."""
    return f"worker-{worker_id}"


CELERY_SETTINGS: dict[str, Any] = {
    "result_backend": None,
    "task_ignore_result": True,
    "task_track_started": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "task_time_limit": None,
    "task_soft_time_limit": None,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,  # a full broker refuses commands: no reason for a consumer to end
    "broker_transport_options": {
        "visibility_timeout": 3600,
        "global_keyprefix": "deltaboard:",
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    "task_publish_retry_policy": {
        "max_retries": 3,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "worker_hijack_root_logger": False,
    "worker_send_task_events": False,
}
"""Both Celery apps use exactly this: key prefix and visibility timeout must match."""
