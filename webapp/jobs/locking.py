"""How two claims at once take two rows: each skips what the other holds."""

from __future__ import annotations

from typing import TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def first_unlocked(rows: QuerySet[Row]) -> Row | None:
    """The first row; on PostgreSQL locked, skipping those that another claim holds."""
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return rows.first()
