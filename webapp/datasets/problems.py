"""What is wrong with a file, in the one shape that page, API and command line show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

LISTED_AT_MOST = 20
EXCERPT_CHARACTERS = 80
MESSAGE_CHARACTERS = 500
NAME_CHARACTERS = 255
SEVERITIES = ("error", "warning", "notice")


@dataclass(frozen=True)
class Where:
    """A place in a file. Unknown parts are None, never invented."""

    file: str | None = None
    line: int | None = None
    """Physical line from 1, the header included."""
    row: int | None = None
    """Data row from 1."""
    column: int | None = None
    """Value from 1, or for JSON the character in the line."""
    field: str | None = None
    excerpt: str | None = None


@dataclass
class Problem:
    """One problem at one place; `count` is how many of its kind the whole file has."""

    code: str
    severity: str
    message: str
    where: Where
    hint: str
    count: int = 1
    fixes: list[str] = field(default_factory=list)
    docs: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Refused(Exception):
    """Reading cannot go on: what was found so far is the answer."""


@dataclass
class Problems:
    """Collects problems: of each kind the first ones in the file, and its total count."""

    file: str
    kinds: dict[str, list[Problem]] = field(default_factory=dict)
    """Code -> its first problems, at most LISTED_AT_MOST."""
    counts: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    """Rows with an error. Rows come in order, so the last one is all that needs remembering."""
    last_bad: int = 0

    def add(self, severity: str, code: str, message: str, hint: str, *, count: int = 1, **where: Any) -> None:
        """Note one problem. `where` are fields of Where; all text is cut and made visible."""
        code = f"dataset.{code}"
        self.counts[code] = self.counts.get(code, 0) + count
        if severity == "error":
            self.spoil(where.get("row"))
        listed = self.kinds.setdefault(code, [])
        worst = severity == "error" and not (listed and listed[0].severity == "error")
        if worst or len(listed) < LISTED_AT_MOST:
            for name, size in (("excerpt", EXCERPT_CHARACTERS), ("field", NAME_CHARACTERS)):
                if where.get(name) is not None:
                    where[name] = visible(where[name], size)
            place = Where(visible(self.file, NAME_CHARACTERS), **where)
            problem = Problem(code, severity, visible(message, MESSAGE_CHARACTERS), place, hint)
            listed.insert(0 if worst else len(listed), problem)

    def spoil(self, row: int | None) -> None:
        """Count a row as bad, once."""
        if row and row != self.last_bad:
            self.bad, self.last_bad = self.bad + 1, row

    def error(self, code: str, message: str, hint: str, **where: Any) -> None:
        self.add("error", code, message, hint, **where)

    def warn(self, code: str, message: str, hint: str, **where: Any) -> None:
        self.add("warning", code, message, hint, **where)

    def notice(self, code: str, message: str, hint: str = "Nothing to do.", **where: Any) -> None:
        self.add("notice", code, message, hint, **where)

    def refuse(self, code: str, message: str, hint: str, **where: Any) -> Refused:
        """Note an error after which reading makes no sense; raise what this gives back."""
        self.error(code, message, hint, **where)
        return Refused(message)

    @property
    def fatal(self) -> bool:
        return any(listed[0].severity == "error" for listed in self.kinds.values())

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def as_json(self) -> list[dict[str, Any]]:
        """The first of every kind, then the first by line while there is room; worst first, then by line."""
        first = sorted((listed[0] for listed in self.kinds.values()), key=_order)
        rest = sorted((problem for listed in self.kinds.values() for problem in listed[1:]), key=_order)
        chosen = sorted((first + rest)[:LISTED_AT_MOST], key=_order)
        for problem in chosen:
            problem.count = self.counts[problem.code]
        return [problem.as_json() for problem in chosen]


def _order(problem: Problem) -> tuple[int, float, int]:
    place = problem.where
    return SEVERITIES.index(problem.severity), place.line or float("inf"), place.row or 0


def visible(text: str, size: int) -> str:
    """At most `size` characters, everything that does not print as an escape."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: size + 1])
    return shown if len(shown) <= size else shown[: size - 1] + "…"
