"""A real worker process that trains with toy trainers: `python -m tests.faults.toy_worker --site URL …`.

A job named `toy MODE [NUMBER …]` is trained by that mode of tests/workers/toy_trainer.py, every other one by `steady`.
TOY_VISIBILITY_SECONDS: after how long the broker delivers again what was not acknowledged.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.workers.conftest import toy_command
from workers.__main__ import main
from workers.celery import app
from workers.protocol import JobFolder


def chosen_by_name(folder: Path) -> tuple[str, ...]:
    name = str(json.loads(JobFolder(folder).spec.read_text())["name"])
    mode, *numbers = name.removeprefix("toy ").split() if name.startswith("toy ") else ["steady"]
    return toy_command(mode, *numbers)(folder)


if __name__ == "__main__":
    if "TOY_VISIBILITY_SECONDS" in os.environ:
        limit = {"visibility_timeout": int(os.environ["TOY_VISIBILITY_SECONDS"]), "unacked_restore_interval": 1}
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, **limit}
    sys.exit(main(train_with=chosen_by_name))
