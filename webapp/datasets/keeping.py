"""Which rows repeat, and which stay where a person chose to keep one of each.

Found among sorted keys, so that it fits in memory.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from webapp.datasets.splitting import Keys


def repeated_contents(keys: Keys) -> Keys:
    """What stands more than once, whatever its side, each once and in ascending order; of sorted keys."""
    return np.unique(keys[1:][keys[1:] >> np.uint64(1) == keys[:-1] >> np.uint64(1)] >> np.uint64(1))


class Twice:
    """Asked for all rows, some at a time, in the order of the file."""

    def __init__(self, keys: Keys) -> None:
        """`keys`: those of all rows, sorted."""
        self.repeated = repeated_contents(keys)
        self.seen = np.zeros(len(self.repeated), dtype=np.bool_)

    def again(self, keys: Keys) -> NDArray[np.bool_]:
        """Of each row, whether an equal one came before."""
        contents = keys >> np.uint64(1)
        places = np.searchsorted(self.repeated, contents)
        places[places == len(self.repeated)] = 0
        told = np.zeros(len(keys), dtype=np.bool_)
        if not len(self.repeated):
            return told
        rows = np.flatnonzero(self.repeated[places] == contents)
        which, first = np.unique(places[rows], return_index=True)
        told[rows] = True
        told[rows[first]] = self.seen[which]
        self.seen[which] = True
        return told


class Keeper:
    """Asked once for every row, in the order of the file."""

    def __init__(self, keys: Keys, repeats: bool, leaks: bool) -> None:
        """`repeats`: only the first of equal rows stays. `leaks`: a row on both sides stays in evaluation alone."""
        across = keys[1:] ^ keys[:-1] == 1
        self.repeated = repeated_contents(keys)
        leaked = np.unique(keys[1:][across] >> np.uint64(1))
        self.leaked: NDArray[np.bool_] = np.isin(self.repeated, leaked) & leaks
        self.seen = np.zeros(len(self.repeated), dtype=np.bool_)
        self.repeats, self.asked = repeats, 0
        self.dropped = array("Q")
        """Which rows do not stay, counted from 1 in the order of the file."""

    @property
    def left_out(self) -> int:
        return len(self.dropped)

    def keeps(self, key: int) -> bool:
        self.asked += 1
        content = np.uint64(key >> 1)
        place = int(np.searchsorted(self.repeated, content))
        if place == len(self.repeated) or self.repeated[place] != content:
            return True
        goes = bool(self.leaked[place]) and not key & 1
        if not goes and self.repeats:
            goes = bool(self.seen[place])
            self.seen[place] = True
        if goes:
            self.dropped.append(self.asked)
        return not goes
