"""What a fault of the database means for the person or program that met it: a sentence, and when to try again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from webapp.storing import StorageAway

AWAY = (OperationalError, InterfaceError, StorageAway)
"""The database is busy, away or full, or the bucket is away: the same request may work later."""
FULL = ("database or disk is full", "no space left", "disk full")


@dataclass(frozen=True)
class Fault:
    code: str
    message: str
    hint: str
    retry_after_seconds: int


BUSY = Fault("database_busy", "The database is busy or away. Nothing was changed.", "Try again in a moment.", 2)
DISK_FULL = Fault(
    "disk_full",
    "The disk of the site's database is full, so nothing can be stored. Nothing was changed, and reading still works.",
    "Ask the site's admin to free space; it then goes on by itself.",
    10,
)
STORAGE_AWAY = Fault(
    "storage_unreachable",
    "The store of the site's files does not answer. Nothing was lost, and nothing was half-written.",
    "Try again in a moment; if it stays so, tell the site's admin.",
    10,
)


def fault_of(error: BaseException) -> Fault:
    """Which of them; SQLite and PostgreSQL say it in their own words."""
    if isinstance(error, StorageAway):
        return STORAGE_AWAY
    cause = error.__cause__
    full = isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode == sqlite3.SQLITE_FULL
    return DISK_FULL if full or any(words in str(error).lower() for words in FULL) else BUSY
