"""Reads pages of rows out of a stored dataset version."""

from __future__ import annotations

import itertools
import json
from typing import Any

from webapp.datasets.models import DatasetVersion
from webapp.storing import open_stored


def rows_page(version: DatasetVersion, offset: int, limit: int) -> list[dict[str, Any]]:
    """Rows as stored, from `offset` (0 is the first); empty past the end."""
    with open_stored(version.file_key) as file:
        return [json.loads(line) for line in itertools.islice(file, offset, offset + limit)]
