"""Gives an attempt's folder to the user its tree runs as: inputs to read, one folder to own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

READ_FILE, READ_FOLDER = 0o444, 0o555


def hand_over(folder: Path, writable: Path, user: int) -> None:
    """The folder's files may be read by everybody who reaches them, and `writable` is the user's; 0 changes nothing.

    Nobody else reaches them: the worker's home is its own. Before the tree starts, so that nothing moves meanwhile.
    """
    if not user:
        return
    for path in _within(folder):
        if not path.is_relative_to(writable):
            _readable(path)
    for path in _within(writable):
        os.chown(path, user, user, follow_symlinks=False)


def _within(folder: Path) -> Iterator[Path]:
    yield folder
    for base, folders, files in os.walk(folder):
        yield from (Path(base, name) for name in (*folders, *files))


def _readable(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return
    wanted = READ_FOLDER if stat.S_ISDIR(mode) else READ_FILE
    if mode & wanted != wanted:
        path.chmod(stat.S_IMODE(mode) | wanted)
