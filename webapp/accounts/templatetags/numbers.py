"""How numbers are written on every page: the unit is always next to the number, nothing has needless digits."""

from __future__ import annotations

import math
from typing import Any

from django import template

register = template.Library()
NOTHING = "–"


def _known(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def significant(value: float, digits: int) -> str:
    """So many significant digits, without an exponent."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def _odd(value: float) -> str | None:
    """Words for what is not a number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return None


@register.filter
def loss(value: Any) -> str:
    """4 significant digits: 0.8421."""
    if not _known(value):
        return NOTHING
    return _odd(value) or significant(value, 4)


@register.filter
def percent(value: Any) -> str:
    """2 significant digits: 0.14 %, 3.1 %, 62 %. The value is already in percent."""
    if not _known(value):
        return NOTHING
    if value >= 99.5:
        return f"{value:.0f} %"
    return _odd(value) or f"{significant(value, 2)} %"


@register.filter
def bytes_size(value: Any) -> str:
    """Binary units: 18 MiB, 6.0 GiB."""
    if not _known(value):
        return NOTHING
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 999.5 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}"


@register.filter
def duration(seconds: Any) -> str:
    """41 m 12 s; over a day 2 d 4 h."""
    if not _known(seconds):
        return NOTHING
    whole = max(0, round(seconds))
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"


@register.filter
def rough_duration(seconds: Any) -> str:
    """A duration nobody can know to the second: 40 s, 14 min, 3 h, 2 d."""
    if not _known(seconds):
        return NOTHING
    for unit, size, least in (("d", 86400, 2), ("h", 3600, 2), ("min", 60, 1.5)):
        if seconds >= least * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(10, round(seconds / 10) * 10)} s"


@register.filter
def rough_range(low: Any, high: Any) -> str:
    """12 min to 16 min; ~12 min where both ends read alike."""
    ends = rough_duration(low), rough_duration(high)
    return f"~{ends[0]}" if ends[0] == ends[1] else " to ".join(ends)


@register.filter
def count(value: Any) -> str:
    """Large counts short: 5.12 M; below ten thousand in full."""
    if not _known(value):
        return NOTHING
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= (1e4 if unit == "k" else size):
            return f"{significant(value / size, 3)} {unit}"
    return f"{value:,.0f}"


@register.filter
def exact(value: Any) -> str:
    """Every digit: 4,587,520."""
    return f"{value:,}" if _known(value) else NOTHING


@register.filter
def learning_rate(value: Any) -> str:
    """2.0e-4."""
    if not _known(value):
        return NOTHING
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


@register.filter
def metric(value: Any, name: str = "") -> str:
    """A metric by its name: shares in percent, counts whole, losses and all else with 4 digits."""
    if not _known(value):
        return NOTHING
    if name.endswith(("accuracy", "f1", "precision", "recall", "share")) and 0 <= value <= 1:
        return f"{100 * value:.1f} %"
    if name.endswith("classes") and math.isfinite(value):
        return f"{value:,.0f}"
    return loss(value)


@register.filter
def signed(value: Any) -> str:
    """A difference with its sign: +0.031, −0.4."""
    if not _known(value):
        return NOTHING
    return _odd(value) or f"{'−' if value < 0 else '+'}{significant(abs(value), 2)}"


@register.filter
def times(value: Any) -> str:
    """A multiple: 1.12 ×."""
    return f"{_odd(value) or f'{value:.2f}'} ×" if _known(value) else NOTHING


@register.filter
def words(name: Any) -> str:
    """A field's name for people: `eval_loss` is Eval loss, `eval_f1` Eval F1."""
    return str(name).replace("_", " ").replace("-", " ").strip().capitalize().replace(" f1", " F1")


@register.filter
def share_of(part: Any, whole: Any) -> float:
    """Percent of the whole, 0 where there is none."""
    return 100 * part / whole if _known(part) and _known(whole) and whole else 0.0


@register.filter
def fraction_of(part: Any, whole: Any) -> str:
    """1/341 of something much larger; near it in percent."""
    if not _known(part) or not _known(whole) or part <= 0:
        return NOTHING
    return f"1/{whole / part:,.0f}" if whole >= 2 * part else percent(100 * part / whole)


@register.filter
def at_most_hundred(percent: float) -> float:
    """For bars, which end where the limit does."""
    return min(100.0, percent)
