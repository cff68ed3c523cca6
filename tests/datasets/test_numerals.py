"""Case 42: numbers as spreadsheets write them, among labels that are numbers; previewed, and converted when chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Api, Cast
from tests.datasets.test_corpus import read_here
from tests.datasets.test_deciding import checked, chosen
from tests.datasets.test_steps import browser_of, draft, post
from webapp.datasets.models import DatasetVersion
from webapp.datasets.numerals import odd_ones, plain


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1.234,5", "1234.5", "1234.5"),
        ("1,234.5", "1234.5", "1234.5"),
        ("12 %", "0.12", "0.12"),
        ("1,234", "1234", "1.234"),
        ("1.234", "1.234", "1234"),
        ("0,125", "0.125", "0.125"),
        ("1'234.50", "1234.5", "1234.5"),
        ("-1\u202f234,50", "-1234.5", "-1234.5"),
        ("1,234,567", "1234567", "1234567"),
        ("100", "100", "100"),
        ("1.2.3", None, None),
        ("1,", None, None),
        ("n/a", None, None),
        ("9" * 41, "9" * 41, "9" * 41),
    ],
)
def test_a_number_reads_plainly(text: str, point: str | None, comma: str | None) -> None:
    assert (plain(text, "point"), plain(text, "comma")) == (point, comma)


@given(st.decimals(-(10**12), 10**12, places=2))
def test_what_is_grouped_reads_as_the_number(number: Any) -> None:
    english = f"{number:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    for text in (english, german):
        assert float(plain(text, "point") or "x") == float(number)


def test_only_a_column_of_numbers_written_in_several_ways_is_one() -> None:
    assert odd_ones(["1", "2.5", "1,000"]) == ["1,000"]
    assert odd_ones(["1.234,5", "1,234.5", "12 %"]) == ["1.234,5", "1,234.5", "12 %"]
    for labels in (["1", "2.5"], ["10 %", "20 %"], ["0,5", "1,5"], ["a", "1", "1,0"], []):
        assert odd_ones(labels) == [], labels


def rows_of(*labels: str) -> bytes:
    return b"text,label\n" + "".join(f'"row {n} {label}","{label}"\n' for n in range(4) for label in labels).encode()


def test_42_each_is_named_with_row_and_field_and_text_is_left_alone(tmp_path: Path) -> None:
    report = read_here(tmp_path, "a.csv", rows_of("7", "1.234,5", "12 %"))
    assert report.state == "needs_choice"
    told = [(each["code"], each["where"]["row"], each["where"]["field"], each["count"]) for each in report.problems]
    assert told == [("dataset.number_format", row, "label", 8) for row in (2, 3)]
    assert [each["fixes"] for each in report.problems] == [["convert_numbers"]] * 2
    (offer,) = report.offers["convert_numbers"]
    assert [each["text"] for each in offer["changes"]] == [
        "1.234,5 → 1234.5 (4 rows)", "12 % → 0.12 (4 rows)"
    ]  # fmt: skip
    assert read_here(tmp_path, "a.csv", rows_of("pos 1.234,5", "12 %")).state == "ready"


def test_42_they_are_converted_when_chosen(bob_api: Api) -> None:
    first = checked(bob_api, "a.csv", rows_of("7", "1,234.5", "12 %"))
    second = chosen(bob_api, first, {"code": "dataset.number_format", "fix": "convert_numbers"})
    assert (second["state"], second["labels"]) == ("ready", {"7": 4, "0.12": 4, "1234.5": 4}), second["problems"]
    assert [(each["code"], each["count"]) for each in second["problems"]] == [("dataset.numbers_converted", 8)]


def test_42_where_both_signs_can_be_meant_somebody_says_which(cast: Cast, bob_api: Api) -> None:
    version = post(bob_api, f"{draft(bob_api, 'a.csv', rows_of('7', '1,234'))['id']}/choices")
    page = browser_of(cast.bob).get(DatasetVersion.objects.get().get_absolute_url(), follow=True).content.decode()
    for sign, read in (("point", "1234"), ("comma", "1.234")):
        assert f'value="convert_numbers:{sign}"' in page
        assert f"1,234 → {read} (4 rows)" in page
    fix = {"code": "dataset.number_format", "fix": "convert_numbers"}
    unsaid = post(bob_api, f"{version['id']}/choices", {"fixes": [fix]}, 422)
    assert (unsaid["error"]["code"], "point or comma" in unsaid["error"]["hint"]) == ("dataset.fix", True)
    version = post(bob_api, f"{version['id']}/choices", {"fixes": [fix | {"value": "comma"}]})
    assert (version["step"], version["labels"]) == ("check", {"7": 4, "1.234": 4})
    page = browser_of(cast.bob).get(DatasetVersion.objects.get().get_absolute_url(), follow=True).content.decode()
    assert "8 numbers" not in page
    assert "4 numbers were written plainly" in page


def test_one_number_as_text_and_as_number_is_one_label_once_converted(bob_api: Api) -> None:
    rows = "".join(
        f'{{"text": "row {n}", "label": {label}}}\n' for n in range(4) for label in ("1000", '"1,000.0"', "3")
    )
    first = checked(bob_api, "a.jsonl", rows.encode())
    assert [each["code"] for each in first["problems"] if each["severity"] == "error"] == ["dataset.number_format"]
    second = chosen(bob_api, first, {"code": "dataset.number_format", "fix": "convert_numbers", "value": "point"})
    assert second["labels"] == {"3": 4, "1000": 8}, second["problems"]
