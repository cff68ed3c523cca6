"""What is wrong with a file, in the one shape that page, API and command line show; and which fixes are on offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from webapp.datasets.teaching import docs_of

LISTED_AT_MOST = 20
EXCERPT_CHARACTERS = 80
MESSAGE_CHARACTERS = 500
NAME_CHARACTERS = 255
JOINERS = "\u200c\u200d"
SEVERITIES = ("error", "warning", "notice")
SKIP, ACCEPT = "skip_rows", "accept"
OFFERED: dict[str, tuple[str, ...]] = {
    "not_utf8": ("convert_encoding",),
    "nul_char": ("strip_nul",),
    "sharegpt": ("convert_sharegpt",),
    "duplicate_column": ("rename_columns",),
    "empty_column_name": ("drop_column",),
    "several_files": ("choose_entry", "choose_second_entry"),
    "number_format": ("convert_numbers",),
    "labels_differ_by_space": ("trim_labels",),
    "duplicate_row": ("keep_one",),
    "leaked_row": ("keep_one",),
    "too_long": ("truncate_long", "drop_long"),
}
"""Code -> fixes that mend every place of it; a row with an error may be skipped besides."""


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
    chosen: dict[str, str] = field(default_factory=dict)
    """Code without prefix -> the fix that a person chose for it."""
    remarked: dict[int, set[str]] = field(default_factory=dict)
    """Data row -> codes of warnings and notices about rows that are being read: the few that nobody has taken yet."""
    log: Callable[[Problem], None] | None = None
    """Gets every problem, also those that are not listed."""

    def add(
        self,
        severity: str,
        code: str,
        message: str,
        hint: str,
        *,
        count: int = 1,
        final: bool = False,
        fixes: list[str] | None = None,
        **where: Any,
    ) -> None:
        """Note one problem, `final` if reading ends here. `where` are fields of Where; text is cut and made visible."""
        if fixes is None:
            fixes = fixes_for(code, severity, None if final else where.get("row"))
        if severity == "error":
            self.spoil(where.get("row"))
        elif where.get("row") and where["row"] != self.last_bad:
            self.remarked.setdefault(where["row"], set()).add(code)
        if SKIP in fixes and self.chosen.get(code) == SKIP:
            severity, message, fixes = "notice", f"{message} The row was left out, as chosen.", []
        code = f"dataset.{code}"
        self.counts[code] = self.counts.get(code, 0) + count
        listed = self.kinds.setdefault(code, [])
        worst = severity == "error" and not (listed and listed[0].severity == "error")
        if self.log is None and not worst and len(listed) >= LISTED_AT_MOST:
            return
        problem = self._made(code, severity, message, hint, where)
        problem.fixes = fixes
        if worst or len(listed) < LISTED_AT_MOST:
            listed.insert(0 if worst else len(listed), problem)
        if self.log is not None:
            self.log(problem)

    def _made(self, code: str, severity: str, message: str, hint: str, where: dict[str, Any]) -> Problem:
        for name, size in (("excerpt", EXCERPT_CHARACTERS), ("field", NAME_CHARACTERS)):
            if where.get(name) is not None:
                where[name] = visible(where[name], size)
        place = Where(visible(self.file, NAME_CHARACTERS), **where)
        docs = docs_of(code.removeprefix("dataset."))
        return Problem(code, severity, visible(message, MESSAGE_CHARACTERS), place, hint, docs=docs)

    def turn_to(self, file: str) -> None:
        """What follows is about another file, whose rows are counted anew."""
        self.file, self.last_bad = file, 0
        self.remarked.clear()

    def remarks_on(self, row: int) -> set[str]:
        """What was remarked on a row, once."""
        return self.remarked.pop(row, set())

    def spoil(self, row: int | None) -> None:
        """Count a row as bad, once; it is never stored, so nothing is remarked on it."""
        if row and row != self.last_bad:
            self.bad, self.last_bad = self.bad + 1, row
            self.remarked.pop(row, None)

    def error(self, code: str, message: str, hint: str, **where: Any) -> None:
        self.add("error", code, message, hint, **where)

    def warn(self, code: str, message: str, hint: str, **where: Any) -> None:
        self.add("warning", code, message, hint, **where)

    def notice(self, code: str, message: str, hint: str = "Nothing to do.", **where: Any) -> None:
        self.add("notice", code, message, hint, **where)

    def refuse(self, code: str, message: str, hint: str, **where: Any) -> Refused:
        """Note an error after which reading makes no sense; raise what this gives back."""
        self.error(code, message, hint, final=True, **where)
        return Refused(message)

    @property
    def fatal(self) -> bool:
        return any(listed[0].severity == "error" for listed in self.kinds.values())

    def mendable(self, good: int) -> bool:
        """Whether fixes on offer would make a refused file good: each error has one, and some row is left."""
        fixes = [set(listed[0].fixes) for listed in self.kinds.values() if listed[0].severity == "error"]
        return all(fixes) and (good > 0 or all(each - {SKIP} for each in fixes))

    @property
    def undecided(self) -> bool:
        """A warning that nobody has accepted yet."""
        severe = {code for code, listed in self.kinds.items() if listed[0].severity == "warning"}
        return any(code.removeprefix("dataset.") not in self.chosen for code in severe)

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


def fixes_for(code: str, severity: str, row: int | None) -> list[str]:
    """What the server can do about a problem if someone chooses it."""
    offered = list(OFFERED.get(code, ()) if severity != "notice" else ())
    return [*offered, SKIP] if severity == "error" and row else offered


def _order(problem: Problem) -> tuple[int, float, int]:
    place = problem.where
    return SEVERITIES.index(problem.severity), place.line or float("inf"), place.row or 0


def visible(text: str, size: int) -> str:
    """At most `size` characters, everything that does not print as an escape."""
    shown = "".join(c if prints(c) else c.encode("unicode_escape").decode() for c in text[: size + 1])
    return shown if len(shown) <= size else shown[: size - 1] + "…"


def prints(character: str) -> bool:
    """Whether it can be shown as it is: no control, nothing that turns the direction; signs are joined as in emoji."""
    return character.isprintable() or character in JOINERS
