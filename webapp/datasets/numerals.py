"""Numbers as spreadsheets write them, `1.234,5`, `1,234.5` and `12 %`, and how each would read plainly."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal

PLAIN = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
WRITTEN = re.compile(r"([+-]?)(\d[\d.,]*)(%?)")
SPACES = str.maketrans("", "", " '\u2019\u00a0\u202f\u2009")
"""What may stand between thousands, or before a percent sign."""
SIGNS = {"point": ".", "comma": ","}
"""The decimal signs between which somebody chooses where both can be meant, as in `1,234`."""
CHARACTERS = 40


def plain(text: str, sign: str) -> str | None:
    """The number as `1234.5`, where it can be meant; `sign`: point or comma, for what could be either."""
    found = WRITTEN.fullmatch(text.strip().translate(SPACES)) if len(text) <= CHARACTERS else None
    if found is None:
        return text if PLAIN.fullmatch(text) else None
    decimal = _decimal(found[2], SIGNS[sign])
    whole, _, part = found[2].rpartition(decimal) if decimal in found[2] else (found[2], "", "")
    digits = _ungrouped(whole, "." if decimal == "," else ",")
    if digits is None or (part and not part.isdigit()) or (decimal in found[2] and not part):
        return None
    number = Decimal(f"{found[1]}{digits}.{part or 0}") / (100 if found[3] else 1)
    shown = f"{number:f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) or "0"


def _decimal(body: str, sign: str) -> str:
    """Which sign stands before the fraction: of two kinds the later one; of one, none that groups thousands."""
    points, commas = body.count("."), body.count(",")
    if points and commas:
        return "." if body.rindex(".") > body.rindex(",") else ","
    only = "." if points else ","
    other = "," if points else "."
    if points + commas > 1:
        return other
    could_group = re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", body) is not None
    return sign if could_group else only


def _ungrouped(whole: str, mark: str) -> str | None:
    """The digits before the fraction, if they are plain or in groups of three."""
    if whole.isdigit():
        return whole
    return whole.replace(mark, "") if re.fullmatch(rf"\d{{1,3}}({re.escape(mark)}\d{{3}})+", whole) else None


def odd_ones(labels: Collection[str]) -> list[str]:
    """Those to be written plainly, where all are numbers and they are not all written in one way; else none."""
    forms = {label: _form(label) for label in labels if plain(label, "point") or plain(label, "comma")}
    if len(forms) < len(labels) or len(set(forms.values())) < 2:
        return []
    return [label for label, form in forms.items() if form]


def _form(label: str) -> str:
    """How a number is written, beside its digits; nothing where it is plain."""
    return "" if PLAIN.fullmatch(label) else "".join(sorted(set(re.sub(r"[\d+-]", "", label))))
