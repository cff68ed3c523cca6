"""Passwords are hashed in turn: a hundred people who sign in at once leave processors to everybody else.

The hash is Django's own, so what is stored stays valid.
"""

from __future__ import annotations

import os
from threading import BoundedSemaphore

from django.contrib.auth.hashers import PBKDF2PasswordHasher

AT_ONCE = max(1, (os.cpu_count() or 1) // 2)
_turns = BoundedSemaphore(AT_ONCE)


class InTurn(PBKDF2PasswordHasher):
    """PBKDF2 with SHA-256. One takes a fifth of a second of a whole processor, which threads do not share out."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with _turns:
            encoded: str = super().encode(password, salt, iterations)
        return encoded
