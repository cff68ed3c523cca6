"""Secrets that programs and links carry: how they look, how they are stored, how they are found again.

`delta_u_` (user), `delta_w_` (worker), `delta_a_` (attempt), `delta_k_` (worker key), `delta_s_` (sign-in link),
then an 8-character id, `_`, and 43 random characters. Only the id and the SHA-256 are stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Secret:
    """A fresh secret: `text` is shown once, the rest is stored."""

    text: str
    prefix: str
    sha256: str


def make_secret(kind: str) -> Secret:
    """A new secret of one kind (`u`, `w`, `a`, `k`, `s`)."""
    prefix = "".join(secrets.choice(ALPHABET) for _ in range(8))
    text = f"delta_{kind}_{prefix}_{secrets.token_urlsafe(32)}"
    return Secret(text, prefix, digest(text))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prefix_of(text: str, kind: str) -> str | None:
    """The id inside a secret of this kind, or None for anything else."""
    start = f"delta_{kind}_"
    prefix, _, rest = text.removeprefix(start).partition("_")
    return prefix if text.startswith(start) and len(prefix) == 8 and rest else None


def matches(text: str, sha256: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(digest(text), sha256)
