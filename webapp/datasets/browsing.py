"""Reads pages of rows out of a stored dataset version, and hands out what its check left behind.

A page far down is found through the version's index; a search goes on for a moment and says how far it came, so that
neither ever takes long, however many rows there are.
"""

from __future__ import annotations

import io
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson
from django.conf import settings
from django.http import Http404, StreamingHttpResponse

from webapp.accounts.models import AuditEntry, User
from webapp.datasets.models import DatasetVersion
from webapp.datasets.problem_list import as_lines
from webapp.datasets.remarks import kinds_on, remarked_rows
from webapp.datasets.token_problems import token_problems
from webapp.storing import open_ranged, open_stored, streamed

SEARCH_SECONDS = 0.2
LOOKED_AT_ONCE = 512
"""Rows between two looks at the clock."""


@dataclass(frozen=True)
class Wanted:
    """Which rows are looked for; empty parts are not asked about."""

    words: str = ""
    label: str = ""
    side: str = ""
    """train or eval."""
    problem: str = ""
    """Code without prefix: rows that this was remarked on."""

    def __bool__(self) -> bool:
        return bool(self.words or self.label or self.side or self.problem)

    def may_fit(self, line: bytes) -> bool:
        """Told without parsing the line; where it says no, that is sure."""
        if self.side and not line.startswith(b'{"split":"%b"' % self.side.encode()):
            return False
        if self.label and b'"label":%b' % orjson.dumps(self.label) not in line:
            return False
        plain = self.words.isascii() and self.words.isprintable() and not set(self.words) & {'"', "\\"}
        return not plain or not line.isascii() or self.words.lower().encode() in line.lower()

    def fits(self, row: dict[str, Any]) -> bool:
        if self.side and row.get("split") != self.side:
            return False
        if self.label and row.get("label") != self.label:
            return False
        return not self.words or self.words.casefold() in _text_of(row).casefold()


@dataclass(frozen=True)
class Found:
    """Rows with their numbers from 1, and where to go on: the place of the next row to look at, None at the end."""

    rows: list[tuple[int, dict[str, Any]]]
    next: int | None


def _text_of(row: dict[str, Any]) -> str:
    """Everything that a person can read in a row."""
    parts: list[str] = []
    for name, value in row.items():
        if isinstance(value, str) and name != "split":
            parts.append(value)
        elif isinstance(value, list):
            parts += [str(turn.get("content", "")) for turn in value if isinstance(turn, dict)]
    return "\n".join(parts)


def _lines_from(file: IO[bytes], version: DatasetVersion, place: int) -> Iterator[bytes]:
    """Lines from a row on, from 0; none past the end.

    Line by line, because iterating over Django's own file starts at the first byte whatever was sought.
    """
    index = version.row_index or {}
    stride, offsets = index.get("stride", 1), index.get("offsets") or [0]
    nearest = min(place // stride, len(offsets) - 1)
    file.seek(offsets[nearest])
    return itertools.islice(iter(file.readline, b""), place - nearest * stride, None)


def rows_page(version: DatasetVersion, offset: int, limit: int) -> list[dict[str, Any]]:
    """Rows as stored, from `offset` (0 is the first); empty past the end."""
    with open_ranged(version.file_key) as file:
        return [orjson.loads(line) for line in itertools.islice(_lines_from(file, version, offset), limit)]


def find_rows(version: DatasetVersion, wanted: Wanted, start: int, limit: int) -> Found:
    """At most `limit` rows that fit, from a place on; fewer where the time is up, with the place to go on from."""
    if wanted.problem:
        return _remarked(version, wanted, start, limit)
    if not wanted:
        rows = rows_page(version, start, limit)
        numbered = list(enumerate(rows, start=start + 1))
        return Found(numbered, start + limit if start + limit < version.rows.get("good", 0) else None)
    found: list[tuple[int, dict[str, Any]]] = []
    until, place = time.monotonic() + SEARCH_SECONDS, start
    with open_ranged(version.file_key) as file:
        rest = _lines_from(file, version, start)
        while lines := list(itertools.islice(rest, LOOKED_AT_ONCE)):
            for line in lines:
                place += 1
                if wanted.may_fit(line) and wanted.fits(row := orjson.loads(line)):
                    found.append((place, row))
                    if len(found) == limit:
                        return Found(found, place)
            if time.monotonic() > until:
                return Found(found, place)
    return Found(found, None)


def _remarked(version: DatasetVersion, wanted: Wanted, start: int, limit: int) -> Found:
    """Like find_rows, over the rows that a problem was remarked on."""
    counts = remarks_of(version)
    if wanted.problem not in counts:
        return Found([], None)
    found: list[tuple[int, dict[str, Any]]] = []
    until = time.monotonic() + SEARCH_SECONDS
    with open_ranged(version.file_key) as file, open_ranged(version.remarks_key) as bits:
        numbers = remarked_rows(bits, list(counts), wanted.problem, version.rows["good"], start)
        before = 0
        for number, line in _lines_at(file, version, numbers):
            if before and (len(found) == limit or time.monotonic() > until):
                return Found(found, before)
            before = number
            if wanted.fits(row := orjson.loads(line)):
                found.append((number, row))
    return Found(found, None)


def _lines_at(file: IO[bytes], version: DatasetVersion, numbers: Iterator[int]) -> Iterator[tuple[int, bytes]]:
    """Each row with its number; read on where the next one is near, else looked up."""
    lines: Iterator[bytes] = iter(())
    last, near = 0, (version.row_index or {}).get("stride", 1)
    for number in numbers:
        if not last or number - last > near:
            lines = _lines_from(file, version, number - 1)
        else:
            for _ in range(number - last - 1):
                next(lines)
        last = number
        yield number, next(lines)


def remarks_of(version: DatasetVersion) -> dict[str, int]:
    """Code of a remark, without prefix -> how many rows it is about."""
    return (version.row_index or {}).get("remarks", {}) if version.remarks_key else {}


def remarks_on(version: DatasetVersion, row: int) -> list[str]:
    """What was remarked on one row."""
    counts = remarks_of(version)
    if not counts:
        return []
    with open_ranged(version.remarks_key) as bits:
        return kinds_on(bits, list(counts), version.rows["good"], row)


def download(version: DatasetVersion, user: User) -> StreamingHttpResponse:
    """The stored file. Raises Http404 where there is none."""
    file = _opened(version.file_key)
    AuditEntry.note(user, version.dataset.team, "dataset.download", version.pk, name=version.dataset.name)
    return streamed(file, version.bytes, "application/x-ndjson", f"{version}.jsonl")


def problem_list(version: DatasetVersion) -> StreamingHttpResponse:
    """The full list of problems as CSV, the check's and the token report's. Raises Http404 where there is none."""
    told = token_problems(version.token_stats, version.upload_name, version.upload_kept)
    checked = version.problems_key or not told
    file: IO[bytes] = _opened(version.problems_key) if checked else io.BytesIO(as_lines([], header=True))
    if told:
        with file as found:
            file = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115  (the response closes it)
            shutil.copyfileobj(found, file)
        file.write(as_lines(told))
    length = file.seek(0, 2)
    file.seek(0)
    return streamed(file, length, "text/csv; charset=utf-8", f"problems of {version}.csv")


def _opened(key: str) -> IO[bytes]:
    if not key:
        raise Http404
    try:
        return open_stored(key)
    except FileNotFoundError as error:
        raise Http404 from error
