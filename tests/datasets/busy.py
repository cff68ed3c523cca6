"""A database that is busy at one statement."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from django.db import OperationalError, connection


def busy_at(words: str) -> AbstractContextManager[None]:
    """Within it, statements that begin so fail as where another writer keeps the lock too long."""

    def wrapper(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith(words):
            raise OperationalError("database is locked")
        return execute(sql, *rest)

    return connection.execute_wrapper(wrapper)
