"""What every dataset converter yields, and how rows are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.protocol import Task

Row = dict[str, Any]
"""One row with `split` (train or eval) and the columns of its task."""


@dataclass(frozen=True)
class RowConverter:
    """Reads rows out of a package."""

    task: Task
    rows: Callable[[Path, str], Iterator[Row]]
    """Called with the package's file and the member inside it."""


def split_of(text: str, eval_tenths: int) -> str:
    """`eval` for about so many tenths of all texts, always the same ones: equal texts never stand on both sides."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return "eval" if digest[0] % 10 < eval_tenths else "train"
