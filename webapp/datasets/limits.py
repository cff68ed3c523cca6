"""How much of everything a dataset file may hold; every refusal names its limit and the value found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bytes, counts and seconds."""

    rows: int = 50_000_000
    line_bytes: int = 16 * 1024**2
    field_characters: int = 8 * 1024**2
    columns: int = 1000
    depth: int = 64
    labels: int = 1000
    array_bytes: int = 64 * 1024**2
    """A JSON array is read whole; larger ones are asked for as JSONL."""
    memory_bytes: int = 1024**3
    cpu_seconds: int = 60
    cpu_seconds_per_gigabyte: int = 60
    wall_seconds: int = 600
