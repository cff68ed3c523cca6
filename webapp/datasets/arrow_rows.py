"""Rows out of Parquet and Arrow files, a small batch at a time, within a budget of decoded bytes.

Footers lie, so nothing is allocated from what they say: the row groups are counted, the rest is read and measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from webapp.datasets.header import renamed
from webapp.datasets.json_faults import unkept, without_nul
from webapp.datasets.json_rows import Row
from webapp.datasets.limits import MIB, Limits
from webapp.datasets.problems import SKIP, Problems, Refused

BATCH_ROWS = 256
WHAT = {"nul_char": "holds a NUL character", "bad_unicode_escape": "holds half of a surrogate pair",
        "too_deep": "is nested too deep"}  # fmt: skip
KIND_NAMES = {"parquet": "Parquet", "arrow": "Arrow"}
CODEC = re.compile(r"(?i)while (\w+) compression|codec(?: type| value| code)?\W+(\w+)")
AGAIN = "Export the file again."


@dataclass
class ArrowFile:
    """One Parquet or Arrow file while it is read."""

    path: Path
    kind: str
    problems: Problems
    limits: Limits
    budget: int
    """Decoded bytes allowed."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Column -> what it holds that no row can."""
    as_text: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def format(self) -> str:
        return KIND_NAMES[self.kind]

    def rows(self) -> Iterator[Row]:
        """Good rows; problems are noted. Raises Refused where reading on makes no sense."""
        try:
            yield from self._rows()
        except (pyarrow.ArrowMemoryError, MemoryError) as error:
            raise self._too_large() from error
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError) as error:
            raise self._refusal(str(error)) from error

    def _rows(self) -> Iterator[Row]:
        number, decoded = 0, 0
        for batch in self._batches():
            decoded += batch.nbytes
            if decoded > self.budget:
                raise self._too_large()
            for values in self._values(batch, number):
                number += 1
                if values is not None and self._is_kept(values, number):
                    yield None, number, values

    def _batches(self) -> Iterator[Any]:
        if self.kind == "parquet":
            file = pyarrow.parquet.ParquetFile(self.path, memory_map=False, pre_buffer=False)
            groups = file.metadata.num_row_groups
            if groups > self.limits.row_groups:
                message = f"The file has {groups:,} row groups; the limit is {self.limits.row_groups:,}."
                raise self.problems.refuse("too_many_row_groups", message, "Write larger row groups.")
            self._look_at(file.schema_arrow)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                yield self._readable(batch)
            return
        with pyarrow.OSFile(str(self.path)) as source:
            if source.read(6) == b"ARROW1":
                reader = pyarrow.ipc.open_file(source)
                self._look_at(reader.schema)
                batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
            else:
                source.seek(0)
                batches = pyarrow.ipc.open_stream(source)
                self._look_at(batches.schema)
            for batch in batches:
                batch.validate(full=True)
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield self._readable(batch.slice(start, BATCH_ROWS))

    def _look_at(self, schema: Any) -> None:
        """Names of the columns and how each is read; notes those that hold what a row cannot."""
        names = list(schema.names)
        if len(names) > self.limits.columns:
            message = f"{len(names):,} columns; the limit is {self.limits.columns:,}."
            raise self.problems.refuse("too_many_columns", message, "Keep the columns you need.")
        self.names = renamed(names, self.problems)
        twice = next((name for place, name in enumerate(self.names) if name in self.names[:place]), None)
        if twice is not None:
            first, second = [place for place, name in enumerate(names, start=1) if name == twice][:2]
            message = f"The column `{twice[:60]}` stands twice, at {first} and {second}."
            raise self.problems.refuse("duplicate_column", message, "Rename one.", column=second, field=twice)
        for name, column in zip(self.names, schema, strict=True):
            if holds_binary(column.type):
                self.unreadable[name] = "binary data"
            elif not is_plain(column.type):
                self.as_text.append(name)
        if self.as_text:
            named = ", ".join(f"`{name[:40]}`" for name in self.as_text)
            self.problems.notice("column_as_text", f"Read as text: {named}.", count=len(self.as_text))

    def _readable(self, batch: Any) -> Any:
        batch = batch.rename_columns(self.names)
        return batch.select([name for name in self.names if name not in self.unreadable])

    def _values(self, batch: Any, before: int) -> list[dict[str, Any] | None]:
        """Rows as Python values; None for one that holds text which is not UTF-8."""
        try:
            found: list[dict[str, Any] | None] = batch.to_pylist()
            return found
        except UnicodeDecodeError:
            return [self._value(batch.slice(place, 1), before + place + 1) for place in range(batch.num_rows)]

    def _value(self, single: Any, row: int) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = single.to_pylist()[0]
            return value
        except UnicodeDecodeError as error:
            message = f"Row {row:,} holds the byte 0x{error.object[error.start]:02X}, which is not UTF-8."
            self.problems.error("not_utf8", message, "Write its text as UTF-8.", fixes=[SKIP], row=row)
            return None

    def _is_kept(self, values: dict[str, Any], row: int) -> bool:
        for name in self.as_text:
            if values.get(name) is not None:
                values[name] = str(values[name])
        for name, value in values.items():
            code = unkept(value, self.limits.depth)
            if code == "nul_char" and self.problems.chosen.get("nul_char") == "strip_nul":
                values[name] = without_nul(value)
            elif code or (isinstance(value, float) and not math.isfinite(value)):
                what = WHAT.get(code, "is not a number")
                message = f"Row {row:,}: `{name[:60]}` {what}."
                hint = "Write null, or remove the row." if not code else "Remove it."
                self.problems.error(code or "not_a_number", message, hint, row=row, field=name)
                return False
        return True

    def _too_large(self) -> Refused:
        size = self.path.stat().st_size
        message = f"Decoded, the rows take more than {self.budget / MIB:,.0f} MiB, the limit for {size:,} bytes."
        return self.problems.refuse("expands_too_far", message, "Split the file, or shorten its texts.")

    def _refusal(self, said: str) -> Refused:
        """The library's words are read for their kind only."""
        lowered, kind = said.lower(), KIND_NAMES[self.kind]
        if "encrypt" in lowered or "decrypt" in lowered:
            message = f"The {kind} file is encrypted."
            return self.problems.refuse("encrypted_file", message, "Save it without encryption.")
        if "codec" in lowered or "compression" in lowered:
            named = CODEC.search(said)
            which = f" `{(named[1] or named[2])[:20]}`" if named else ""
            message = f"The {kind} file is compressed in a way that is not known here{which}."
            return self.problems.refuse("unsupported_compression", message, "Save it with zstd or snappy.")
        if "magic bytes not found in footer" in lowered or "smaller than" in lowered or "footer" in lowered:
            message = "The end of the file is missing."
            return self.problems.refuse(f"{self.kind}_damaged", message, f"{AGAIN} Was the upload cut short?")
        message = f"The {kind} file is damaged: its parts do not fit together."
        return self.problems.refuse(f"{self.kind}_damaged", message, AGAIN)


def holds_binary(kind: Any) -> bool:
    types = pyarrow.types
    if types.is_dictionary(kind):
        return holds_binary(kind.value_type)
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )  # fmt: skip


def is_plain(kind: Any) -> bool:
    """What becomes the same Python value that JSON would give."""
    types = pyarrow.types
    if types.is_dictionary(kind):
        return is_plain(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind) or types.is_struct(kind):
        return True
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    number = types.is_integer(kind) or types.is_floating(kind)
    return bool(text or number or types.is_boolean(kind) or types.is_null(kind))
