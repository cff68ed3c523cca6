"""Short English conversations of the ChatterBot corpus, YAML files by topic inside a wheel, as chat messages."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from workers.training.starter.rows import Row, RowConverter, split_of

ROLES = ("user", "assistant")


def rows(package: Path, member: str) -> Iterator[Row]:
    """`member` is the folder of the YAML files. People and assistant take turns, the assistant says the last word.

    Repeated conversations count once (half of the corpus is ten support answers, about a hundred times each), and
    conversations that open with the same words stand on the same side of the split.
    """
    seen: set[tuple[str, ...]] = set()
    with zipfile.ZipFile(package) as archive:
        for name in sorted(archive.namelist()):
            if not (name.startswith(member) and name.endswith(".yml")):
                continue
            for turns in yaml.safe_load(archive.read(name))["conversations"]:
                said = tuple(turn.strip() for turn in turns[: len(turns) // 2 * 2])
                if said and all(said) and said not in seen:
                    seen.add(said)
                    yield _row(said)


def _row(said: tuple[str, ...]) -> Row:
    messages = [{"role": ROLES[turn % 2], "content": text} for turn, text in enumerate(said)]
    return {"split": split_of(said[0], eval_tenths=1), "messages": messages}


CONVERTER = RowConverter("causal-lm", rows)
