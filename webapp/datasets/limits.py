"""How much of everything a dataset file may hold; every refusal names its limit and the value found."""

from __future__ import annotations

from dataclasses import dataclass

GIB, MIB = 1024**3, 1024**2


@dataclass(frozen=True)
class Limits:
    """Bytes, counts and seconds."""

    rows: int = 50_000_000
    line_bytes: int = 16 * MIB
    field_characters: int = 8 * MIB
    columns: int = 1000
    depth: int = 64
    labels: int = 1000
    label_characters: int = 256
    row_groups: int = 10_000
    archive_entries: int = 1000
    archive_ratio: int = 100
    problems_kept: int = 200_000
    """Lines of the full list of problems."""
    array_bytes: int = 64 * MIB
    """A JSON array is held in memory as text; larger ones are asked for as JSONL."""
    preview_characters: int = 2000
    """Longer texts are clipped in the preview, never in the rows."""
    memory_bytes: int = GIB
    cpu_seconds: int = 60
    cpu_seconds_per_gigabyte: int = 60
    wall_seconds: int = 600
    output_bytes_least: int = GIB
    output_times_source: int = 100
    output_bytes_most: int = 20 * GIB

    def in_words(self) -> list[tuple[str, str]]:
        """What a person may want to know of them."""
        return [
            ("Rows", f"{self.rows:,}"),
            ("One line", f"{self.line_bytes // MIB} MiB"),
            ("One text", f"{self.field_characters:,} characters"),
            ("Columns", f"{self.columns:,}"),
            ("Nesting of JSON", f"{self.depth}"),
            ("A JSON array as a whole", f"{self.array_bytes // MIB} MiB"),
            ("Labels", f"{self.labels:,}, each of {self.label_characters} characters"),
            ("Row groups of Parquet", f"{self.row_groups:,}"),
            ("Entries of a zip", f"{self.archive_entries:,}, each up to {self.archive_ratio} times its packed size"),
            ("Unpacked", f"{self.output_times_source} times the file, at most {self.output_bytes_most // GIB} GiB"),
            ("Problems in the full list", f"{self.problems_kept:,}"),
        ]

    def cpu_seconds_for(self, source_bytes: int) -> int:
        return self.cpu_seconds + self.cpu_seconds_per_gigabyte * source_bytes // GIB

    def output_bytes_for(self, source_bytes: int) -> int:
        """What the rows of a file may take; a little text can be many rows."""
        return min(self.output_bytes_most, max(self.output_bytes_least, self.output_times_source * source_bytes))
