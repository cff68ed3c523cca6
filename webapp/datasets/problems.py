"""What is wrong with a file, in the one shape that page, API and command line show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

LISTED_AT_MOST = 20
EXCERPT_CHARACTERS = 80
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
    """One kind of problem at its first places."""

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
    """Collects problems: the first ones by line, each kind with its total count."""

    file: str
    listed: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    severities: dict[str, str] = field(default_factory=dict)
    bad_rows: set[int] = field(default_factory=set)

    def add(self, severity: str, code: str, message: str, hint: str, *, count: int = 1, **where: Any) -> None:
        """Note one problem. `where` are fields of Where; an excerpt is cut and made visible."""
        code = f"dataset.{code}"
        self.counts[code] = self.counts.get(code, 0) + count
        self.severities[code] = severity
        if severity == "error" and where.get("row"):
            self.bad_rows.add(where["row"])
        if len(self.listed) < LISTED_AT_MOST:
            if where.get("excerpt") is not None:
                where["excerpt"] = excerpt(where["excerpt"])
            self.listed.append(Problem(code, severity, message, Where(self.file, **where), hint))

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
        return "error" in self.severities.values()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def as_json(self) -> list[dict[str, Any]]:
        """By line, the worst first within a line; each with the count of its kind."""
        for problem in self.listed:
            problem.count = self.counts[problem.code]
        order = sorted(self.listed, key=lambda each: (SEVERITIES.index(each.severity), each.where.line or float("inf")))
        return [problem.as_json() for problem in order]


def excerpt(text: str) -> str:
    """At most 80 characters, control characters as escapes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:EXCERPT_CHARACTERS])
    return shown[: EXCERPT_CHARACTERS - 1] + "…" if len(shown) >= EXCERPT_CHARACTERS else shown
