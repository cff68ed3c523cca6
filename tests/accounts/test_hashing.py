"""Many passwords at once are hashed a few at a time, and as Django does it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password

from webapp.accounts.hashing import AT_ONCE


@pytest.mark.fault(53)
def test_a_hundred_passwords_at_once_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pages then still get is measured by benchmarks/people.py."""
    lock, now, most = Lock(), 0, 0

    def slow(*_: object) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
        return "pbkdf2_sha256$1$salt$hash"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", slow)
    with ThreadPoolExecutor(100) as people:
        list(people.map(make_password, ["secret"] * 100))
    assert most == AT_ONCE


def test_a_password_hashed_by_django_before_still_opens() -> None:
    stored = PBKDF2PasswordHasher().encode("secret", "salt")
    assert check_password("secret", stored)
    assert not check_password("guess", stored)
    assert settings.PASSWORD_HASHERS == ["webapp.accounts.hashing.InTurn"]
