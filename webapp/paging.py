"""Lists of the API: newest first, a cursor instead of page numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from django.db.models import QuerySet
from pydantic import Field

LIMIT_AT_MOST = 200
Whole = Annotated[int, Field(ge=0, le=2**53)]
"""A count or cursor in a query."""
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


def page(rows: QuerySet[Any], show: Callable[[Any], dict[str, Any]], limit: int, cursor: int | None) -> dict[str, Any]:
    """`{"items", "next"}`; the cursor is the id of the last item, and `next` is null on the last page."""
    return page_together(rows, lambda found: [show(row) for row in found], limit, cursor)


def page_together(
    rows: QuerySet[Any], show: Callable[[list[Any]], list[dict[str, Any]]], limit: int, cursor: int | None
) -> dict[str, Any]:
    """The same where what is said of one row is best looked up for all of them at once."""
    limit = max(1, min(limit, LIMIT_AT_MOST))
    rows = rows.order_by("-pk")
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return {"items": show(found[:limit]), "next": found[limit - 1].pk if more else None}
