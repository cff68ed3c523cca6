"""Sentences from film reviews with the mean rating of 20 people: an archive inside the vaderSentiment source archive.

Gilbert and Hutto, VADER, ICWSM 2014; the sentences are those of Pang and Lee, 2004.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from workers.training.base_model_folder import InspectionProblem
from workers.training.starter.rows import Row, RowConverter, split_of


def rows(package: Path, member: str) -> Iterator[Row]:
    """`member` is `inner archive/file in it`; both are read as streams, nothing is extracted.

    Rated above 0 is `pos`, below `neg`; the 37 sentences rated exactly 0 and repeated sentences are left out.
    """
    archive, _, name = member.partition(".tar.gz/")
    seen: set[str] = set()
    with (
        tarfile.open(package, mode="r|gz") as outer,
        _member(outer, f"{archive}.tar.gz") as inner_file,
        tarfile.open(fileobj=inner_file, mode="r|gz") as inner,
        _member(inner, name) as file,
    ):
        for line in file:
            _, rating, text = line.decode().rstrip("\r\n").split("\t")
            if float(rating) == 0 or text in seen:
                continue
            seen.add(text)
            label = "pos" if float(rating) > 0 else "neg"
            yield {"split": split_of(text, eval_tenths=2), "text": text.strip(), "label": label}


def _member(archive: tarfile.TarFile, end: str) -> IO[bytes]:
    for each in archive:
        file = archive.extractfile(each) if each.isfile() and each.name.endswith(f"/{end}") else None
        if file is not None:
            return file
    raise InspectionProblem(
        "starter.member_missing", f"The package does not hold {end}.", "Update Deltaboard: its catalogue is wrong."
    )


CONVERTER = RowConverter("text-classification", rows)
