"""Passwords are hashed in turn: a hundred people who sign in at once leave processors to everybody else.

The hash is Django's own, so what is stored stays valid.
"""

from __future__ import annotations

import os
from threading import BoundedSemaphore

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

AT_ONCE = max(1, (os.cpu_count() or 1) // 2)
_turns = BoundedSemaphore(AT_ONCE)


class InTurn(PBKDF2PasswordHasher):
    """PBKDF2 with SHA-256. One takes a fifth of a second of a whole processor, which threads do not share out."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Who waits holds no database connection meanwhile; who holds a transaction does not wait."""
        if connection.in_atomic_block:
            return str(super().encode(password, salt, iterations))
        if not _turns.acquire(blocking=False):
            connection.close()
            _turns.acquire()
        try:
            return str(super().encode(password, salt, iterations))
        finally:
            _turns.release()
