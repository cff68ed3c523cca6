"""A worker's token report of a dataset version, checked: what it says is a claim."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field, ValidationError

from webapp.jobs.log_text import plain
from webapp.jobs.reported import BadReport

Count = Annotated[int, Field(strict=True, ge=0, lt=2**40)]
Text = Annotated[str, Field(max_length=20_000)]


class ShownRow(Schema):
    """One row token by token: text, whether the loss looks at it, whether it is one of the tokenizer's own."""

    number: Count
    tokens: Annotated[list[tuple[Annotated[str, Field(max_length=400)], bool, bool]], Field(max_length=1_000)]
    length: Count
    cut: Count
    supervised: Count
    answer: Text = ""


class Place(Schema):
    """A row: its number among those that are or would be stored, and the line of its file while that is known."""

    number: Count
    line: Count | None = None


class LongRow(Place):
    """A row that does not fit: its length, how many of its tokens go, and the ends of what stays."""

    length: Count
    cut: Count
    kept: Annotated[str, Field(max_length=400)] = ""


class Refusal(Schema):
    """Rows that the base model's chat template refuses for one reason."""

    code: Literal["turns_not_alternating", "system_not_first", "tool_calls_unsupported", "template_refuses"]
    words: Annotated[str, Field(max_length=400)] = ""
    rows: Count
    first: Annotated[list[Place], Field(max_length=20)]


class TokenReport(Schema):
    """The worker's answer, checked: a report is a claim."""

    max_length: Count
    distance: Annotated[int, Field(strict=True, ge=1, lt=2**40)]
    """1: every row was read; n: one in n."""
    rows: Count
    tokens: Count
    supervised: Count
    cut_rows: Count
    cut_tokens: Count
    nothing_to_learn: Count
    lengths: Annotated[list[tuple[Count, Count]], Field(max_length=10_000)]
    """(length in tokens, rows), shortest first."""
    remarks: Annotated[dict[Annotated[str, Field(max_length=300)], Count], Field(max_length=20)]
    shown: Annotated[list[ShownRow], Field(max_length=10)]
    refused: Annotated[list[Refusal], Field(max_length=10)] = []
    long: Annotated[list[LongRow], Field(max_length=20)] = []
    nothing: Annotated[list[Place], Field(max_length=20)] = []
    """The first rows in which nothing is left to learn."""

    def at(self, share: float) -> int:
        """The length that this share of the rows does not exceed."""
        wanted, seen = share * sum(rows for _, rows in self.lengths), 0
        for length, rows in self.lengths:
            seen += rows
            if seen >= wanted:
                return length
        return 0

    @property
    def longest(self) -> int:
        return self.lengths[-1][0] if self.lengths else 0

    @property
    def cut_percent(self) -> float:
        """Of the rows."""
        return 100 * self.cut_rows / self.rows if self.rows else 0.0

    @property
    def supervised_percent(self) -> float:
        """Of the tokens that are read: those that the loss looks at."""
        read = self.tokens - self.cut_tokens
        return 100 * self.supervised / read if read else 0.0

    @property
    def in_brief(self) -> dict[str, Any]:
        return {
            "max_length": self.max_length,
            "tokens": self.tokens * self.distance,
            "p50": self.at(0.5),
            "p95": self.at(0.95),
            "max": self.longest,
            "rows": self.rows * self.distance,
            "cut_rows": self.cut_rows * self.distance,
            "cut_tokens": self.cut_tokens * self.distance,
            "rows_without_trainable_tokens": self.nothing_to_learn * self.distance,
            "every_row_read": self.distance == 1,
        }

    @property
    def findings(self) -> dict[str, Any]:
        """The rows that a person should know, as `webapp.datasets.token_problems` reads them."""
        refused = [
            {**each.dict(), "words": plain(each.words), "rows": each.rows * self.distance} for each in self.refused
        ]
        long = [{**each.dict(), "kept": plain(each.kept)} for each in self.long]
        return {"refused": refused, "long": long, "nothing": [each.dict() for each in self.nothing]}

    def noted(self, base_model: str) -> dict[str, Any]:
        """What is kept beside the dataset version."""
        return {"base_model": base_model, **self.in_brief, **self.findings}


def check_report(answer: dict[str, Any]) -> TokenReport:
    """Raises BadReport where the answer is none."""
    try:
        return TokenReport.model_validate(answer)
    except ValidationError as error:
        raise BadReport(f"The token report does not fit: {error.errors()[0]['msg']}.") from error
