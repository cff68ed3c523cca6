"""What other rooms may want to hear of datasets; this room does not know who listens."""

from __future__ import annotations

from django.dispatch import Signal

rows_stored = Signal()
"""The checked rows of the version `version_id` were stored, and will not change."""
