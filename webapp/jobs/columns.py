"""Metric points as columns: many steps of many series in one compact payload.

Layout: 4 bytes length, JSON header, then zlib over byte-shuffled little-endian arrays: step and event as deltas
(int64), time (float64), each series as float32. A series that lacks points has a bitmask of those it has, so a
logged NaN stays NaN and an absent point stays absent. No pickle.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass
class Series:
    """One metric: `values[i]` belongs to row `rows[i]` of the columns."""

    rows: NDArray[np.int64]
    values: Floats


@dataclass
class Columns:
    """n points in the order they were logged."""

    step: NDArray[np.int64]
    event: NDArray[np.int64]
    time: NDArray[np.float64]
    epoch: NDArray[np.float64]
    series: dict[str, Series] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def of_points(cls, points: list[tuple[int, int, float, float, dict[str, float]]]) -> Columns:
        """From (event number, step, unix time, epoch, values) tuples."""
        event, step, time, epoch, values = zip(*points, strict=True)
        series = {}
        for name in sorted({name for each in values for name in each}):
            rows = [row for row, each in enumerate(values) if name in each]
            numbers = [values[row][name] for row in rows]
            series[name] = Series(np.array(rows, np.int64), np.array(numbers, np.float32))
        return cls(
            np.array(step, np.int64), np.array(event, np.int64), np.array(time), np.array(epoch, np.float64), series
        )

    @classmethod
    def joined(cls, parts: list[Columns]) -> Columns:
        """Several columns one after the other."""
        offsets = np.cumsum([0] + [len(part) for part in parts])
        names = sorted({name for part in parts for name in part.series})
        series = {}
        for name in names:
            holding = [
                (part.series[name], start) for part, start in zip(parts, offsets, strict=False) if name in part.series
            ]
            rows = np.concatenate([each.rows + start for each, start in holding])
            series[name] = Series(rows, np.concatenate([each.values for each, _ in holding]))
        empty = np.array([], np.int64)
        return cls(
            np.concatenate([part.step for part in parts] or [empty]),
            np.concatenate([part.event for part in parts] or [empty]),
            np.concatenate([part.time for part in parts] or [empty.astype(np.float64)]),
            np.concatenate([part.epoch for part in parts] or [empty.astype(np.float64)]),
            series,
        )

    def where(self, keep: NDArray[np.bool_]) -> Columns:
        """Only the points that `keep` marks; shape (n,)."""
        if keep.all():
            return self
        place = np.cumsum(keep) - 1
        series = {}
        for name, each in self.series.items():
            held = keep[each.rows]
            if held.any():
                series[name] = Series(place[each.rows[held]], each.values[held])
        return Columns(self.step[keep], self.event[keep], self.time[keep], self.epoch[keep], series)

    def pack(self) -> bytes:
        n = len(self)
        names = list(self.series)
        arrays: list[NDArray[Any]] = [
            _delta(self.step),
            _delta(self.event),
            self.time.astype("<f8"),
            self.epoch.astype("<f8"),
        ]
        dense = []
        for each in self.series.values():
            dense.append(len(each.rows) == n)
            if not dense[-1]:
                mask = np.zeros(n, np.bool_)
                mask[each.rows] = True
                arrays.append(np.packbits(mask))
            arrays.append(each.values.astype("<f4"))
        header = json.dumps({"n": n, "names": names, "dense": dense}).encode()
        return struct.pack("<I", len(header)) + header + zlib.compress(b"".join(_shuffled(each) for each in arrays), 6)

    @classmethod
    def unpack(cls, payload: bytes) -> Columns:
        (length,) = struct.unpack_from("<I", payload)
        header = json.loads(payload[4 : 4 + length])
        body = _Body(zlib.decompress(payload[4 + length :]))
        n = header["n"]
        step, event = np.cumsum(body.take("<i8", n)), np.cumsum(body.take("<i8", n))
        time, epoch = body.take("<f8", n), body.take("<f8", n)
        series = {}
        for name, dense in zip(header["names"], header["dense"], strict=True):
            rows = np.arange(n) if dense else np.flatnonzero(np.unpackbits(body.take("u1", -(-n // 8)), count=n))
            series[name] = Series(rows.astype(np.int64), body.take("<f4", len(rows)))
        return cls(step, event, time, epoch, series)


def _delta(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(values, prepend=np.int64(0)).astype("<i8")


def _shuffled(array: NDArray[Any]) -> bytes:
    """Bytes of equal significance side by side: neighbours are alike, so they compress."""
    return array.view("u1").reshape(len(array), array.itemsize).T.tobytes() if len(array) else b""


class _Body:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, kind: str, n: int) -> NDArray[Any]:
        size = np.dtype(kind).itemsize
        part = np.frombuffer(self.data, "u1", n * size, self.at)
        self.at += n * size
        return np.ascontiguousarray(part.reshape(size, n).T).view(kind).reshape(n)
