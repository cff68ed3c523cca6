"""Comparing: intervals, the front, what is not comparable, the bracket of d90, savings and claims, in plain numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Cast, make_job
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import comparing, efficiency, grouping
from webapp.jobs.claims import claims
from webapp.jobs.models import Job
from webapp.jobs.point_names import Spot, places
from webapp.jobs.trade_offs import ordered, trade_offs

ACCURACY = "eval_accuracy"
GIB = 1024**3


@pytest.fixture
def made(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Any:
    def make(method: str, score: float | None, percent: float = 1.0, seed: int = 17, **fields: Any) -> Job:
        training = {"seed": seed, "batch_size": 8, **fields.pop("training", {})}
        job = make_job(cast, base_model, version, method=method, name=f"{method} {seed}", state="succeeded", **fields)
        job.spec = {**job.spec, "training": training, "options": {"rank": 4} if method == "lora" else {}}
        job.best_metric = None if score is None else {"name": ACCURACY, "value": score, "step": 5}
        job.trainable_parameters, job.total_parameters = round(percent * 1000), 100_000
        job.save()
        return job

    return make


def test_below_five_repeats_the_range_from_five_on_the_t_interval() -> None:
    three = comparing.spread([1.0, 2.0, 6.0])
    assert (three.mean, three.low, three.high, three.n) == (3.0, 1.0, 6.0, 3)  # type: ignore[union-attr]
    five = comparing.spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert five
    # s = 1.5811, t(4) = 2.776: half width 2.776 * 1.5811 / sqrt(5)
    assert five.high - five.mean == pytest.approx(1.9629, abs=1e-3)
    assert comparing.spread([]) is None


def test_repeats_with_other_seeds_are_one_group_and_its_slot_stays(made: Any) -> None:
    jobs = [made("lora", 0.8), made("bitfit", 0.7), made("lora", 0.9, seed=18)]
    groups = comparing.groups_of(jobs)
    assert [(group.method, len(group.jobs), group.slot) for group in groups] == [("lora", 2, 1), ("bitfit", 1, 2)]
    later = comparing.groups_of([*jobs, made("full", 0.95, 100)])
    assert [group.slot for group in later][:2] == [1, 2]
    assert groups[0].title == "LoRA 4"
    assert groups[0].scores
    assert groups[0].scores.mean == pytest.approx(0.85)


def test_jobs_are_put_together_by_method_by_seed_or_by_any_setting_in_which_they_differ(made: Any) -> None:
    jobs = [made("lora", 0.8), made("lora", 0.9, seed=18), made("bitfit", 0.7, training={"learning_rate": 0.1})]

    def told(key: str) -> list[tuple[str, int]]:
        return [(group.title, len(group.jobs)) for group in grouping.grouped(jobs, key)]

    assert "training.learning_rate" in grouping.choices(jobs)
    assert told("") == [("LoRA 4", 2), ("BitFit", 1)]
    assert told("method") == [("LoRA", 2), ("BitFit", 1)]
    assert told("training.seed") == [("Seed 17", 2), ("Seed 18", 1)]
    assert told("options.rank") == [("Rank 4", 2), ("Without rank", 1)]


def test_jobs_on_another_base_model_are_never_put_together(made: Any, base_model: BaseModel) -> None:
    other = BaseModel.objects.create(name="other", source="starter", state="ready", files=[], parameters=1)
    jobs = [made("lora", 0.8), made("lora", 0.9)]
    jobs[1].base_model = other
    titles = [group.title.split(",")[:2] for group in grouping.grouped(jobs, "training.seed")]
    assert titles == [["Seed 17", f" {base_model.name}"], ["Seed 17", " other"]]


def test_hidden_jobs_leave_their_setting_and_slots_stay(made: Any) -> None:
    jobs = [made("lora", 0.8), made("lora", 0.9, seed=18), made("bitfit", 0.7, seed=18)]
    shown = grouping.grouped(jobs, "training.seed")[1:]
    told = [(group.title, len(group.jobs), group.slot) for group in grouping.by_setting(jobs, shown)]
    assert told == [("LoRA 4", 1, 1), ("BitFit", 1, 2)]


def test_the_front_keeps_what_beats_everything_cheaper(made: Any) -> None:
    jobs = [
        made("prompt_tuning", 0.60, 0.01),
        made("lora", 0.90, 0.2),
        made("houlsby", 0.85, 1.0),
        made("last_k", 0.80, 3.0),
        made("last_k", 0.95, 3.0, seed=18),
        made("full", 0.92, 99.0),
    ]
    points = comparing.placed(comparing.groups_of(jobs), lambda group: group.trained_percent, less=False)
    told = {point.group.method: point for point in points}
    assert {name for name, point in told.items() if point.on_front} == {"prompt_tuning", "lora", "full"}
    assert told["houlsby"].dominated_by == "LoRA 4"
    assert told["houlsby"].separable
    assert not told["last_k"].separable  # its best repeat reaches the front


def test_where_less_is_better_the_front_turns_round(made: Any) -> None:
    jobs = [made("lora", 0.5, 0.2), made("full", 0.6, 99.0)]
    points = comparing.placed(comparing.groups_of(jobs), lambda group: group.trained_percent, less=True)
    assert [point.on_front for point in points] == [True, False]


def test_gradient_checkpointing_spoils_memory_and_time_but_no_score(made: Any) -> None:
    jobs = [
        made("lora", 0.9, training={"gradient_checkpointing": True}),
        made("bitfit", 0.8, training={"gradient_checkpointing": False}),
    ]
    (difference,) = comparing.differences(jobs)
    assert difference.field == "gradient checkpointing"
    assert set(difference.purposes) == {"memory", "time"}
    groups = comparing.groups_of(jobs)
    assert len(comparing.facets(groups, "score")) == 1
    assert len(comparing.facets(groups, "memory")) == 2


ALL, SCORE_AND_TIME, COSTS_ONLY = {"score", "memory", "time"}, {"score", "time"}, {"memory", "time"}


@pytest.mark.parametrize(
    ("field", "purposes", "other"),
    [
        ("precision", ALL, {"training": {"precision": "bf16"}}),
        ("precision", ALL, {"training": {"precision": "auto"}, "device": "NVIDIA A100"}),
        ("quantisation", ALL, {"training": {"quantize": "4bit"}}),
        ("longest row", ALL, {"training": {"max_length": 64}}),
        ("rows per optimizer step", SCORE_AND_TIME, {"training": {"gradient_accumulation": 2}}),
        ("batch size", COSTS_ONLY, {"training": {"batch_size": 4, "gradient_accumulation": 2}}),
        ("gradient checkpointing", COSTS_ONLY, {"training": {"gradient_checkpointing": True}}),
        ("device", COSTS_ONLY, {"device": "NVIDIA A100"}),
        ("device", COSTS_ONLY, {"gpus": 2}),
    ],
)
def test_every_field_of_the_key_splits_what_it_spoils(
    made: Any, field: str, purposes: set[str], other: dict[str, Any]
) -> None:
    same = {"precision": "fp32", "quantize": "none", "max_length": 32, "gradient_accumulation": 1}
    training = {**same, "gradient_checkpointing": False}
    other = {**other, "training": {**training, **other.get("training", {})}}
    jobs = [made("lora", 0.9, training=training, device="cpu"), made("bitfit", 0.8, **{"device": "cpu", **other})]
    told = {each.field: set(each.purposes) for each in comparing.differences(jobs)}
    assert told[field] == purposes
    split = {purpose for purpose in ALL if len(comparing.facets(comparing.groups_of(jobs), purpose)) == 2}  # type: ignore[arg-type]
    assert split >= purposes
    if told.keys() == {field}:
        assert split == purposes


def test_auto_on_a_cpu_is_fp32(made: Any) -> None:
    jobs = [
        made("lora", 0.9, training={"precision": "auto"}, device="cpu"),
        made("bitfit", 0.8, training={"precision": "fp32"}, device="cpu"),
    ]
    assert comparing.differences(jobs) == []


def timed(base: float, delta: float, merged: float | None = None) -> dict[str, float]:
    taken = {"base_seconds": base, "delta_seconds": delta, "rows": 8, "tokens": 24}
    return taken if merged is None else {**taken, "merged_seconds": merged}


@pytest.mark.parametrize(("delta", "verdict"), [(1.05, "reproduced"), (1.4, "differs")])
def test_an_adapters_delay_is_held_against_a_merged_loras_none(made: Any, delta: float, verdict: str) -> None:
    jobs = [
        made("houlsby", 0.9, forward_pass=timed(2.0, 2.0 * delta)),
        made("lora", 0.9, forward_pass=timed(2.0, 2.3, 2.0)),
    ]
    found = next(each for each in claims(comparing.groups_of(jobs), 20_000) if "answer" in each.text)
    assert found.verdict == verdict
    assert f"{delta:.2f} ×" in found.ours
    assert found.ours.endswith("LoRA 4 merged 1.00 ×")


def test_an_adapter_alone_is_told_and_not_judged(made: Any) -> None:
    found = next(
        each
        for each in claims(comparing.groups_of([made("houlsby", 0.9, forward_pass=timed(2.0, 2.1))]), 20_000)
        if "answer" in each.text
    )
    assert found.verdict == "not measured"
    assert "1.05 ×" in found.ours


def test_equal_jobs_differ_in_nothing(made: Any) -> None:
    assert comparing.differences([made("lora", 0.9), made("bitfit", 0.8)]) == []


def test_differing_settings_come_first(made: Any) -> None:
    rows = grouping.config_difference([made("lora", 0.9), made("bitfit", 0.8, seed=18)])
    assert [key for key, _, differs in rows if differs] == [key for key, _, _ in rows[:3]]
    assert ("training.seed", [17, 18], True) in rows


@pytest.mark.parametrize(
    ("points", "low", "high"),
    [
        ([(10, 0.5), (100, 0.7), (1000, 0.9)], 100, 1000),
        ([(10, 0.85), (100, 0.9)], None, 10),
        ([(10, 0.1), (100, 0.2)], 100, None),
    ],
)
def test_d90_is_a_bracket(points: list[tuple[float, float]], low: float | None, high: float | None) -> None:
    found = efficiency.bracket(points, full=0.9, what="dimension")
    assert (found.low, found.high) == (low, high)


def test_d90_lies_log_linear_between() -> None:
    found = efficiency.bracket([(100, 0.71), (1000, 0.91)], full=0.9, what="dimension")
    assert found.between == pytest.approx(10 ** (2 + (0.81 - 0.71) / 0.2))
    assert "about 320" in found.sentence
    assert efficiency.bracket([(1, 1.0)], None, "dimension").sentence.startswith("Needs a full")


def test_a_hundred_tasks_cost_one_base_and_a_hundred_deltas() -> None:
    found = efficiency.savings(100, full_bytes=6.0, base_bytes=6.0, delta_bytes=0.018)
    assert found.full_bytes == 600
    assert found.delta_bytes == pytest.approx(7.8)
    assert found.ratio == pytest.approx(76.9, abs=0.1)


def test_a_claim_is_only_held_against_numbers_that_are_there(made: Any) -> None:
    nothing = claims(comparing.groups_of([made("lora", 0.9)]), 20_000)
    assert {each.verdict for each in nothing} == {"not measured"}
    jobs = [made("bitfit", 0.9, 0.1), made("full", 0.92, 99), made("houlsby", 0.91, 2.0)]
    verdicts = [each.verdict for each in claims(comparing.groups_of(jobs), 20_000)]
    assert verdicts[:2] == ["reproduced", "reproduced"]
    assert {*verdicts[2:]} == {"not measured"}


def test_full_fine_tuning_that_scores_nothing_is_no_measure(made: Any) -> None:
    jobs = [made("bitfit", 0.9, 0.1), made("full", 0.0, 99), made("houlsby", 0.91, 2.0)]
    assert [each.verdict for each in claims(comparing.groups_of(jobs), 20_000)][:2] == ["not measured"] * 2


def test_a_claim_of_a_far_larger_model_is_told_apart(made: Any) -> None:
    jobs = [made("lora", 0.9, peak_memory_bytes=100), made("full", 0.92, 99, peak_memory_bytes=400)]
    for parameters, verdict in ((20_000, "other scale"), (150_000_000_000, "reproduced")):
        found = {each.text[:15]: each for each in claims(comparing.groups_of(jobs), parameters)}
        assert found["LoRA takes 350 "].verdict == verdict
        assert "4.0 x less" in found["LoRA takes 350 "].ours


def test_a_table_of_trade_offs_says_what_is_better_and_sorts(made: Any) -> None:
    jobs = [
        made("lora", 0.9, 1.0, peak_memory_bytes=2 * GIB),
        made("houlsby", 0.85, 2.0, peak_memory_bytes=3 * GIB),
        made("full", 0.95, 99, peak_memory_bytes=9 * GIB),
    ]
    rows = trade_offs(comparing.groups_of(jobs), base=0.5)
    told = {row.group.method: row for row in rows}
    assert told["houlsby"].standing == "dominated by LoRA 4: +0.05 score, −1.0 GiB"
    assert told["lora"].standing == "on the front"
    assert told["lora"].gain
    assert told["lora"].gain.mean == pytest.approx(100 * 0.4 / 0.45)
    assert [row.group.method for row in ordered(rows, "-memory")] == ["full", "houlsby", "lora"]
    assert ordered(rows, "nonsense") == rows


def test_names_of_points_never_cover_one_another() -> None:
    crowd = [Spot(100, 100 + 2 * n, 5, f"name {n}") for n in range(4)]
    placed = places(crowd)
    assert placed[0] == "top center"
    assert "" in placed
    assert places([Spot(100, 100, 5, "alone"), Spot(400, 100, 5, "far away")]) == ["top center", "top center"]
