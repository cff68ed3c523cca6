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
Kept = tuple[sqlite3.Connection, int]
_kept: dict[int, list[Kept]] = {}
"""By process: a connection must not be used, nor closed, on the other side of a fork. With the inode of its file."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes a kept connection to the same file where there is one, and keeps it when it is closed in good order."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        waiting = _kept.get(os.getpid(), [])
        while waiting:
            connection, inode = waiting.pop()
            if inode == _inode(conn_params["database"]):
                return connection
            connection.close()  # the file was replaced or removed
        opened: sqlite3.Connection = super().get_new_connection(conn_params)
        return opened

    def _close(self) -> None:
        waiting = _kept.setdefault(os.getpid(), [])
        in_order = not self.errors_occurred and not self.in_atomic_block and not self.connection.in_transaction
        if in_order and len(waiting) < KEPT_AT_MOST and (inode := _inode(self.settings_dict["NAME"])):
            waiting.append((self.connection, inode))
        else:
            super()._close()  # type: ignore[misc]


def _inode(database: str | Path) -> int:
    """0 if the file is gone."""
    try:
        return Path(database).stat().st_ino
    except FileNotFoundError:
        return 0
