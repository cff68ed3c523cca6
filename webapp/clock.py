"""The database's clock: the one by which leases, limits and holds are judged, whatever a machine's own clock says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.functions import Now


def now() -> Any:
    """This moment, as SQL."""
    return Now()


def in_seconds(seconds: float) -> Any:
    """So long from now (negative: ago), as SQL."""
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())
