"""A thousand spoiled files of a kind, read one after the other: `python -m tests.datasets.mutants KIND FIRST LAST`.

Prints a line of JSON for each: its number, the state that was answered, and what is wrong with the answer. The process
may die of a file; whoever started it goes on behind that one.
"""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.datasets.test_corpus import SPEAKS_PYTHON
from webapp.datasets.choices import CHECK, COLUMNS
from webapp.datasets.reading import read

ROWS = [{"text": f'row {n} é, "quoted"', "label": "ab"[n % 2], "note": None if n % 7 else "x" * n} for n in range(60)]
STATES = ("ready", "needs_choice", "refused")
STEPS = ("", COLUMNS, CHECK)
"""In turn: all in one go, a look at the beginning, a check that writes nothing."""


def good(kind: str) -> bytes:
    if kind == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), buffer, row_group_size=16)
        return buffer.getvalue()
    if kind == "csv":
        quoted = [[str(value or "").replace('"', '""') for value in row.values()] for row in ROWS]
        return "\n".join(["text,label,note", *(",".join(f'"{each}"' for each in row) for row in quoted)]).encode()
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def spoiled(kind: str, number: int) -> bytes:
    """Bits flipped, bytes cut, doubled, moved or replaced; always the same for the same number."""
    chance = random.Random(f"{kind} {number}")
    content = bytearray(good(kind))
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place = chance.randrange(len(content))
        match chance.randrange(5):
            case 0:
                content[place] ^= 1 << chance.randrange(8)
            case 1:
                content[place] = chance.choice(b'\x00\xff\n\r"{}[],:\\\xc3\x28')
            case 2:
                del content[place : place + chance.randint(1, 40)]
            case 3:
                content[place:place] = content[place : place + chance.randint(1, 40)]
            case _:
                content[place:place] = chance.randbytes(chance.randint(1, 8))
        if not content:
            return b""
    return bytes(content)


def answer(kind: str, number: int, folder: Path) -> tuple[str, str]:
    """The state, and what is wrong with the answer: '' for nothing."""
    source = folder / "upload"
    source.write_bytes(spoiled(kind, number))
    step = STEPS[number % len(STEPS)]
    report = read(source, f"a.{kind}", folder / "rows.jsonl", choices={"step": step})
    said = [problem["message"] + problem["hint"] for problem in report.problems]
    if report.state not in STATES:
        return report.state, "no such state"
    waits = bool(step) and report.state == "needs_choice"  # for a person, whatever was found
    if report.state != "ready" and not said and not waits:
        return report.state, "no reason is given"
    return report.state, next((f"speaks Python: {text}" for text in said if SPEAKS_PYTHON.search(text)), "")


def main(kind: str, first: int, last: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print(json.dumps([number, *answer(kind, number, Path(folder))]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
