"""Lists of the API: newest first, a cursor instead of page numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

LIMIT_AT_MOST = 200


def page(rows: QuerySet[Any], show: Callable[[Any], dict[str, Any]], limit: int, cursor: int | None) -> dict[str, Any]:
    """`{"items", "next"}`; the cursor is the id of the last item, and `next` is null on the last page."""
    limit = max(1, min(limit, LIMIT_AT_MOST))
    rows = rows.order_by("-pk")
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return {"items": [show(row) for row in found[:limit]], "next": found[limit - 1].pk if more else None}
