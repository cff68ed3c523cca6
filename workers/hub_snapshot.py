"""`python -m workers.hub_snapshot`: downloads named files of one hub revision; what to do comes as JSON on stdin.

A process of its own, so that it can be ended; the token reaches it through the pipe and never touches a disk.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from huggingface_hub import snapshot_download


def download(wanted: dict[str, Any]) -> None:
    """hub_id, revision (a commit), files (names), folder, token (or null), endpoint (or null)."""
    snapshot_download(
        wanted["hub_id"],
        revision=wanted["revision"],
        allow_patterns=wanted["files"],
        local_dir=wanted["folder"],
        token=wanted["token"] or False,
        endpoint=wanted["endpoint"],
        max_workers=4,
    )


if __name__ == "__main__":
    download(json.load(sys.stdin))
