"""Which rows stay where a person chose to keep one of each: found among sorted keys, so that it fits in memory."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from webapp.datasets.splitting import Keys


class Keeper:
    """Asked once for every row, in the order of the file."""

    def __init__(self, keys: Keys, repeats: bool, leaks: bool) -> None:
        """`repeats`: only the first of equal rows stays. `leaks`: a row on both sides stays in evaluation alone."""
        same = keys[1:] >> np.uint64(1) == keys[:-1] >> np.uint64(1)
        across = keys[1:] ^ keys[:-1] == 1
        self.repeated: Keys = np.unique(keys[1:][same] >> np.uint64(1))
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
