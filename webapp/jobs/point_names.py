"""Which points of a scatter get their name written beside them: none where it would cover another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LETTER_PX = 6.2
LINE_PX = 15
GAP_PX = 8
"""From the rim of a point to the middle of its name."""


@dataclass(frozen=True)
class Spot:
    """A point on the plot, in pixels from its top left."""

    x: float
    y: float
    radius: float
    name: str


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def places(spots: Sequence[Spot]) -> list[str]:
    """Plotly's text position of each, or "" where its name is left out; the first ones choose first."""
    taken = [_Box(s.x - s.radius, s.y - s.radius, s.x + s.radius, s.y + s.radius) for s in spots]
    chosen = []
    for own, spot in enumerate(spots):
        place = next((each for each in ("top", "bottom") if _free(_box(spot, each), taken, own)), "")
        chosen.append(f"{place} center" if place else "")
        if place:
            taken.append(_box(spot, place))
    return chosen


def _free(box: _Box, taken: Sequence[_Box], own: int) -> bool:
    return not any(box.meets(other) for number, other in enumerate(taken) if number != own)


def _box(spot: Spot, place: str) -> _Box:
    half = len(spot.name) * LETTER_PX / 2
    middle = spot.y + (GAP_PX + spot.radius) * (-1 if place == "top" else 1)
    return _Box(spot.x - half, middle - LINE_PX / 2, spot.x + half, middle + LINE_PX / 2)
