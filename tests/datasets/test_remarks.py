"""What was remarked on rows: each of them, however many, at the places where they are stored."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest

from tests.conftest import Api
from tests.datasets.test_deciding import checked, chosen
from webapp.datasets import remarks
from webapp.datasets.remarks import Remarks, kinds_on, remarked_rows


@pytest.mark.parametrize("seed", range(5))
def test_bits_say_what_lists_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(remarks, "READ_AT_ONCE", 7)
    chance = random.Random(seed)
    rows = chance.choice([1, 8, 9, 500])
    about = {
        code: sorted(chance.sample(range(1, rows + 1), chance.randint(0, rows))) for code in ("odd", "empty", "twice")
    }
    dropped = sorted(chance.sample(range(1, rows + 1), chance.randint(0, rows - 1)))
    made = Remarks()
    for code, places in about.items():
        for row in places:
            made.add(row, {code})
    kept = [row for row in range(1, rows + 1) if row not in dropped]
    wanted = {code: [kept.index(row) + 1 for row in places if row in kept] for code, places in about.items()}
    wanted = {code: places for code, places in wanted.items() if places}
    counts = made.write(tmp_path / "bits", rows, dropped)
    assert counts == {code: len(places) for code, places in wanted.items()}
    assert (tmp_path / "bits").exists() == bool(wanted)
    file = io.BytesIO((tmp_path / "bits").read_bytes() if wanted else b"")
    for code, places in wanted.items():
        for after in (0, 1, 7, 8, len(kept) // 2, len(kept)):
            assert list(remarked_rows(file, list(counts), code, len(kept), after)) == [
                row for row in places if row > after
            ]
    for row in range(1, len(kept) + 1):
        assert kinds_on(file, list(counts), len(kept), row) == [code for code in sorted(wanted) if row in wanted[code]]


def test_every_remarked_row_is_found_however_many_and_whatever_stands_between(bob_api: Api) -> None:
    """Bad rows with remarks of their own are never stored, and take no place from those that are."""
    bad = [{"text": " ", "label": ["no"]}] * 12_000
    good = [{"text": " " if n % 2 else f"text {n % 1500}", "label": "ab"[n // 2 % 2]} for n in range(4000)]
    lines = "\n".join(map(json.dumps, [*good[:50], *bad, *good[50:]]))
    first = checked(bob_api, "a.jsonl", lines.encode())
    version = chosen(bob_api, first, {"code": "dataset.type_changed", "fix": "skip_rows"})
    found: dict[str, list[int]] = {}
    for code in ("empty_text", "duplicate_row"):
        place: int | None = 0
        numbers = found.setdefault(code, [])
        while place is not None:
            path = f"dataset-versions/{version['id']}/rows?problem={code}&limit=200&offset={place}"
            page = bob_api("get", path).json()
            numbers += page["numbers"]
            place = page["next"]
    seen: set[str] = set()
    again = []
    for number, row in enumerate(map(json.dumps, good), start=1):
        if row in seen:
            again.append(number)
        seen.add(row)
    assert found == {"empty_text": list(range(2, 4001, 2)), "duplicate_row": again}
