"""From an upload to a reader of rows: unpacks, sniffs, and picks the reader; knows nothing of what rows must hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Any

from webapp.datasets.choices import COLUMNS, Choices
from webapp.datasets.csv_rows import CsvFile
from webapp.datasets.encodings import Decoder
from webapp.datasets.json_rows import JsonFile, Row
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems
from webapp.datasets.sniffing import sniff
from webapp.datasets.text_rows import TextFile
from webapp.datasets.unpacking import Unpacking

FORMATS = {"jsonl": "JSONL", "array": "JSON array", "text": "plain text, a row a line"}


@dataclass
class Opened:
    """One upload, ready to be read; `offers` and `unreadable` fill while it is."""

    source: Path
    name: str
    destination: Path
    problems: Problems
    limits: Limits
    choices: Choices
    fix: str = "choose_entry"
    """Of a zip with several files."""
    format: str = ""
    is_text: bool = False
    unreadable: dict[str, str] = field(default_factory=dict)
    """Column -> what it holds that no row can."""
    table: dict[str, str] = field(default_factory=dict)
    """Of a CSV file: `delimiter`, and `header`: first or none."""

    def __post_init__(self) -> None:
        unpacked = self.destination.with_name(self.destination.name + ".unpacked")
        self.converted = self.destination.with_name(self.destination.name + ".utf8")
        self.scratch = (unpacked, self.converted)
        self.decoder = Decoder(self.problems, self.choices.encoding)
        self.unpacking = Unpacking(self.source, unpacked, self.problems, self.limits, self.choices.entry or None)
        self.unpacking.fix = self.fix

    def rows(self) -> Iterator[Row]:
        """Good rows; problems are noted. Raises Refused where reading on makes no sense."""
        path, name = self.unpacking.run(self.name)
        packed = {"": "", ".gz": ", gzip"}.get(self._packing(path), f", {name[:40]} in a zip")
        path, kind = sniff(path, name, self.converted, self.problems, self.choices.encoding)
        yield from self._read(path, kind, packed)

    def _packing(self, path: Path) -> str:
        if path == self.source:
            return ""
        with self.source.open("rb") as file:
            return ".gz" if file.read(2) == b"\x1f\x8b" else ".zip"

    def _read(self, path: Path, kind: str, packed: str) -> Iterator[Row]:
        self.is_text = kind not in ("parquet", "arrow")
        if not self.is_text:
            # Loaded only here: the Arrow library costs every other check a quarter of a second and 40 MB.
            file = import_module("webapp.datasets.arrow_rows").ArrowFile(
                path, kind, self.problems, self.limits, self.limits.output_bytes_for(self.source.stat().st_size)
            )
            self.unreadable, self.format = file.unreadable, file.format + packed
            yield from file.rows()
        elif kind == "csv":
            header = self.choices.header or ("look" if self.choices.step == COLUMNS else "")
            table = CsvFile(path, self.problems, self.limits, self.decoder, asked_header=header)
            table.asked_delimiter = self.choices.delimiter
            rows = table.rows()
            first = list(islice(rows, 1))  # finds the delimiter
            self.format = table.format + packed
            self.table = {"delimiter": table.delimiter, "header": "none" if table.headless else "first"}
            yield from chain(first, rows)
        else:
            self.format = FORMATS[kind] + packed
            yield from self._of_text(path, kind)

    def _of_text(self, path: Path, kind: str) -> Iterator[Row]:
        if kind == "text":
            return TextFile(path, self.problems, self.limits, self.decoder).rows()
        file = JsonFile(path, self.problems, self.limits, self.decoder)
        return file.lines() if kind == "jsonl" else file.elements()

    def offers(self) -> dict[str, Any]:
        """By fix: what may be chosen, each with how the first places would read."""
        found: dict[str, Any] = {}
        if self.decoder.samples:
            found["convert_encoding"] = self.decoder.offers()
        if self.unpacking.entries:
            found[self.fix] = [{"value": name, "name": name} for name in self.unpacking.entries]
        return found

    def discard(self) -> None:
        for leftover in self.scratch:
            leftover.unlink(missing_ok=True)
