"""Django's admin says what keeps a row from being removed: the jobs that need it, not a right that nobody has."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class NamesWhatNeedsIt:
    """For admins of rows that jobs need."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[Any], dict[Any, Any], set[Any], Any]:
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)  # type: ignore[misc]
        return found, counts, set() if protected else lacking, protected
