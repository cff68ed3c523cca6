"""Sentences from product, film and restaurant reviews, good or bad: JSON files inside an npm package.

Kotzias et al., From Group to Individual Labels using Deep Features, KDD 2015.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from workers.training.starter.rows import Row, RowConverter, split_of

DOMAINS = ("amazon", "imdb", "yelp")
LABELS = {0: "neg", 1: "pos"}


def rows(package: Path, member: str) -> Iterator[Row]:
    """`member` is the folder of the JSON files. Repeated sentences count once, rows without a class are left out."""
    seen: set[str] = set()
    wanted = {f"{member}{domain}.json" for domain in DOMAINS}
    with tarfile.open(package, mode="r|gz") as archive:
        for each in archive:
            file = archive.extractfile(each) if each.name in wanted and each.isfile() else None
            for row in json.load(file) if file else ():
                text = row["text"].strip()
                if row["class"] in LABELS and text not in seen:
                    seen.add(text)
                    yield {"split": split_of(text, eval_tenths=2), "text": text, "label": LABELS[row["class"]]}


CONVERTER = RowConverter("text-classification", rows)
