"""Keeps closed connections for the next request.

Each request runs in a thread of its own and Django holds connections by thread, so every request opened one: registered
fifty functions, read the schema and compiled each statement anew. PostgreSQL has Django's own pool for that.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

KEPT_AT_MOST = 8
File = tuple[int, int]
"""A device and an inode: a path may name another file later."""
_kept: dict[int, list[tuple[sqlite3.Connection, File | None]]] = {}
"""By process: a connection must not be used, nor closed, on the other side of a fork."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes a kept connection to the same file where there is one, and keeps it when it is closed in good order."""

    _file: File | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        self._file = _at(conn_params["database"])
        while (kept := _take()) is not None:
            connection, file = kept
            if file == self._file:
                return connection
            connection.close()  # its file was replaced or removed
        opened: sqlite3.Connection = super().get_new_connection(conn_params)
        self._file = _at(conn_params["database"])  # there was none before the very first
        return opened

    def is_usable(self) -> bool:
        """Asked after an error only; Django would keep the connection."""
        return not self.errors_occurred

    def _close(self) -> None:
        waiting = _kept.setdefault(os.getpid(), [])
        in_order = not self.errors_occurred and not self.in_atomic_block and not self.connection.in_transaction
        if in_order and len(waiting) < KEPT_AT_MOST and self._file == _at(self.settings_dict["NAME"]):
            waiting.append((self.connection, self._file))
        else:
            super()._close()  # type: ignore[misc]


def _take() -> tuple[sqlite3.Connection, File | None] | None:
    try:
        return _kept.get(os.getpid(), []).pop()
    except IndexError:
        return None


def _at(path: str | Path) -> File | None:
    """None if there is no file."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
