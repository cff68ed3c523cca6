"""Which reconciler is the active one, and how its last round went."""

from __future__ import annotations

from django.db import models


class Sweep(models.Model):
    """One row: whoever holds it sweeps. On any database, so that no second lock server is needed."""

    holder = models.CharField(max_length=80, blank=True)
    """Host and process of the active reconciler."""
    held_until = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(null=True)
    """End of the last good round."""

    def __str__(self) -> str:
        return f"sweep by {self.holder or 'nobody'}"
