"""Metric columns: what goes in comes out, absent stays absent, NaN stays NaN."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from webapp.jobs.columns import Columns

NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=True)
POINT = st.tuples(
    st.integers(0, 2**31 - 1), st.floats(0, 2e9), st.dictionaries(st.sampled_from("abcd"), NUMBERS, min_size=1)
)


def plain(columns: Columns) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = [{} for _ in range(len(columns))]
    for name, series in columns.series.items():
        for row, value in zip(series.rows.tolist(), series.values.tolist(), strict=True):
            rows[row][name] = value
    return rows


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


@given(st.lists(POINT, min_size=1, max_size=40))
def test_packing_and_unpacking_changes_nothing(points: list[tuple[int, float, dict[str, float]]]) -> None:
    made = Columns.of_points([(n + 1, step, time, 0.5, values) for n, (step, time, values) in enumerate(points)])
    back = Columns.unpack(made.pack())
    assert back.step.tolist() == [step for step, _, _ in points]
    assert back.event.tolist() == list(range(1, len(points) + 1))
    assert back.time.tolist() == [time for _, time, _ in points]
    for row, (_, _, values) in zip(plain(back), points, strict=True):
        assert row.keys() == values.keys()
        assert all(same(row[name], values[name]) for name in values)


@given(st.lists(POINT, min_size=2, max_size=30), st.data())
def test_joining_and_cutting_keep_each_point_with_its_step(
    points: list[tuple[int, float, dict[str, float]]], data: st.DataObject
) -> None:
    numbered = [(n, step, time, 0.0, values) for n, (step, time, values) in enumerate(points)]
    cut = data.draw(st.integers(1, len(points) - 1))
    joined = Columns.joined([Columns.of_points(numbered[:cut]), Columns.of_points(numbered[cut:])])
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(points), max_size=len(points))))
    kept = joined.where(keep)
    expected = [values for (_, _, values), wanted in zip(points, keep, strict=True) if wanted]
    for row, values in zip(plain(kept), expected, strict=True):
        assert row.keys() == values.keys()


def test_a_thousand_steps_of_eight_series_are_small() -> None:
    random = np.random.default_rng(1)
    values = [{f"series_{k}": float(v) for k, v in enumerate(row)} for row in random.normal(size=(1000, 8))]
    packed = Columns.of_points([(n, n, n * 0.5, 0.0, row) for n, row in enumerate(values)]).pack()
    assert len(packed) < 8 * 1000 * 4 + 4000
