"""Numbers as pages write them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from webapp.accounts.templatetags import numbers
from webapp.accounts.templatetags.sentences import said


@pytest.mark.parametrize(
    ("filter", "value", "text"),
    [
        (numbers.loss, 0.84213, "0.8421"),
        (numbers.loss, 12.3456, "12.35"),
        (numbers.loss, math.nan, "NaN"),
        (numbers.loss, None, "–"),
        (numbers.percent, 0.1382, "0.14 %"),
        (numbers.percent, 3.06, "3.1 %"),
        (numbers.percent, 62.4, "62 %"),
        (numbers.percent, 100.0, "100 %"),
        (numbers.percent, 0, "0 %"),
        (numbers.bytes_size, 18 * 1024**2, "18 MiB"),
        (numbers.bytes_size, 6 * 1024**3, "6.0 GiB"),
        (numbers.bytes_size, 612, "612 B"),
        (numbers.bytes_size, 1024**2 - 1, "1.0 MiB"),
        (numbers.duration, 2472, "41 m 12 s"),
        (numbers.duration, 9, "9 s"),
        (numbers.duration, 187_200, "2 d 4 h"),
        (numbers.duration, 7_260, "2 h 1 m"),
        (numbers.count, 5_120_000, "5.12 M"),
        (numbers.count, 5_120, "5,120"),
        (numbers.count, 12_466, "12.5 k"),
        (numbers.exact, 4_587_520, "4,587,520"),
        (numbers.signed, -0.0314, "−0.031"),
        (numbers.signed, -math.inf, "−∞"),
        (numbers.times, 1.118, "1.12 ×"),
        (numbers.learning_rate, 2e-4, "2.0e-4"),
        (numbers.learning_rate, 0.0, "0"),
        (numbers.words, "eval_loss", "Eval loss"),
    ],
)
def test_a_number_is_written(filter: Any, value: Any, text: str) -> None:
    assert filter(value) == text


def test_a_range_of_time_has_one_end_where_both_read_alike() -> None:
    assert numbers.rough_range(720, 960) == "12 min to 16 min"
    assert numbers.rough_range(1850, 1870) == "~31 min"


def test_a_small_part_of_something_large_is_a_fraction() -> None:
    assert numbers.fraction_of(18, 6138) == "1/341"
    assert numbers.fraction_of(9, 10) == "90 %"
    assert numbers.fraction_of(None, 10) == "–"


def test_a_metric_is_written_by_its_name() -> None:
    assert numbers.metric(0.7914, "eval_accuracy") == "79.1 %"
    assert numbers.metric(0.4521, "eval_loss") == "0.4521"
    assert numbers.metric(0.51564, "eval_majority_share") == "51.6 %"
    assert numbers.metric(2.0, "eval_predicted_classes") == "2"
    assert numbers.words("eval_f1") == "Eval F1"


def test_names_in_backticks_become_code_and_markup_stays_text() -> None:
    assert said("`rank` is <b>9</b>") == "<code>rank</code> is &lt;b&gt;9&lt;/b&gt;"
