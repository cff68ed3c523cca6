"""The one error a person reads: a sentence with reason and fix. Every other is our bug and keeps its traceback."""

from __future__ import annotations


class Refusal(Exception):
    """Something the person can put right; its text is printed word for word, without a traceback."""


DISK_FULL_MARKS = ("No space left on device", "database or disk is full", "Errno 28")
"""How pip, SQLite and Python say in their output that the disk is full."""


def says_disk_full(output: str) -> bool:
    """Whether a program's output tells that it died of a full disk."""
    return any(mark in output for mark in DISK_FULL_MARKS)
