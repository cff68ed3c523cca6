"""The job page's figures: what is drawn, in which unit, and that nothing leaves the site."""

from __future__ import annotations

import json
from typing import Any

import pytest

from webapp.jobs.device_figures import pace_charts, system_charts
from webapp.jobs.flops import peak_flops, use_of
from webapp.jobs.learning_figures import charts_for
from webapp.jobs.models import Job
from workers.training.spent import PARTS

MOUNTED_AT_MOST = 12
SPEC_BF16 = {"training": {"precision": "bf16"}}


def drawn(job: Job) -> dict[str, dict[str, Any]]:
    charts = [*charts_for(job), *pace_charts(job), *system_charts(job)]
    return {chart.name: json.loads(json.dumps(chart.drawn())) for chart in charts}


def classification(**fields: Any) -> Job:
    return Job(pk=1, task="text-classification", spec={"training": {"eval_every": 50}}, **fields)


def test_the_loss_has_raw_and_smooth_train_and_dashed_eval() -> None:
    traces = {trace["uid"]: trace for trace in drawn(classification())["loss"]["data"]}
    assert list(traces) == ["loss-raw", "loss-smooth", "eval_loss-raw"]
    assert traces["loss-raw"]["hoverinfo"] == "skip"
    assert traces["eval_loss-raw"]["line"]["dash"] == "dash"
    assert traces["eval_loss-raw"]["mode"] == "lines+markers"


def test_every_figure_has_no_toolbar_and_sends_nothing() -> None:
    for name, figure in drawn(classification()).items():
        config = figure["config"]
        assert config["displayModeBar"] is False, name
        assert config["showSendToCloud"] is False, name
        assert config["plotlyServerURL"] == "", name
        assert "template" not in figure["layout"], name


def test_a_figure_travels_without_points() -> None:
    for figure in drawn(classification()).values():
        assert all("x" not in trace and "y" not in trace for trace in figure["data"])
        assert len(json.dumps(figure)) < 3500


def test_metrics_follow_the_task() -> None:
    assert "accuracy" in drawn(classification())
    assert "perplexity" in drawn(Job(pk=1, task="causal-lm", spec={"training": {}}))


def test_memory_is_labelled_as_what_it_is() -> None:
    on_gpu = drawn(classification(memory_kind="VRAM", device_memory_total_bytes=24 * 1024**3))["memory"]
    assert on_gpu["title"] == "VRAM"
    assert on_gpu["layout"]["shapes"][0]["y0"] == 24
    on_cpu = drawn(classification(memory_kind="process memory", device_memory_total_bytes=64 * 1024**3))["memory"]
    assert on_cpu["title"] == "Process memory"
    assert "shapes" not in on_cpu["layout"]


def test_the_learning_rate_is_never_smoothed() -> None:
    parts = [trace["meta"]["part"] for trace in drawn(classification())["learning_rate"]["data"]]
    assert parts == ["raw"]


def test_the_planned_learning_rate_is_dotted_over_all_steps_and_the_warm_ups_end_named() -> None:
    training = {"learning_rate": 2e-4, "warmup": 0.1, "eval_every": 50}
    job = Job(pk=1, task="text-classification", spec={"training": training}, total_steps=200)
    figure = drawn(job)["learning_rate"]
    path = next(shape for shape in figure["layout"]["shapes"] if shape["type"] == "path")
    assert figure["span"] == [0, 200]
    assert path["line"]["dash"] == "dot"
    assert path["path"].startswith("M0 1e-05L")
    assert "L19 0.0002L" in path["path"]
    assert [(each["x"], each["text"]) for each in figure["layout"]["annotations"]] == [(20, "warm-up ends")]


def test_the_gradient_norm_knows_where_gradients_are_clipped() -> None:
    figure = drawn(classification())["grad_norm"]
    assert figure["limit"] == [1.0, "of the steps were clipped"]
    assert figure["layout"]["shapes"][0]["y0"] == 1.0


def test_a_gpu_shows_what_is_allocated_and_reserved_a_cpu_says_it_has_no_sensor() -> None:
    on_gpu = drawn(classification(memory_kind="VRAM", device_memory_total_bytes=24 * 1024**3))
    assert [trace["meta"]["series"] for trace in on_gpu["memory"]["data"]] == [
        "device_memory_bytes",
        "reserved_memory_bytes",
        "allocated_memory_bytes",
    ]
    assert on_gpu["power"]["absent"] is None
    on_cpu = drawn(classification(memory_kind="process memory"))
    assert "No sensor" in on_cpu["temperature"]["absent"]["words"]
    assert on_cpu["utilisation"]["title"] == "CPU utilisation"


def test_throughput_has_samples_on_an_axis_to_the_right_and_waiting_in_a_row_below() -> None:
    figure = drawn(classification())["throughput"]
    assert {trace["meta"]["series"]: trace.get("yaxis", "y") for trace in figure["data"]} == {
        "tokens_per_second": "y",
        "samples_per_second": "y2",
        "data_wait_share": "y3",
    }
    assert figure["layout"]["yaxis2"]["side"] == "right"
    assert figure["layout"]["yaxis3"]["domain"][1] < figure["layout"]["yaxis"]["domain"][0]
    assert figure["layout"]["xaxis"]["anchor"] == "y3"


def test_the_parts_of_a_step_are_stacked_and_none_is_left_out() -> None:
    figure = drawn(classification())["step_time"]
    assert figure["bars"]
    assert figure["layout"]["barmode"] == "stack"
    assert {trace["meta"]["series"] for trace in figure["data"]} == {f"spent_{part}_seconds" for part in PARTS}


@pytest.mark.parametrize("kind", ["", "VRAM", "process memory"])
def test_a_page_has_ten_charts_and_never_more_than_may_be_mounted_at_once(kind: str) -> None:
    job = classification(memory_kind=kind)
    names = [chart.name for chart in [*charts_for(job), *pace_charts(job)]]
    assert 10 <= len(names) == len(set(names)) <= MOUNTED_AT_MOST
    assert len(system_charts(job)) <= MOUNTED_AT_MOST


@pytest.mark.parametrize(
    ("device", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA L40", None),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA GeForce RTX 4090", None),
        ("cpu", None),
        ("", None),
    ],
)
def test_a_peak_is_known_of_devices_that_can_be_cited(device: str, tera: float | None) -> None:
    assert peak_flops(device, "bf16") == (None if tera is None else tera * 1e12)
    assert peak_flops(device, "fp32") is None


def test_frozen_weights_save_the_third_of_the_arithmetic_that_their_gradients_would_be() -> None:
    known = {"device": "NVIDIA A100-SXM4-40GB", "total_parameters": 10**9, "gpus": 2}
    full, delta = (Job(trainable_parameters=count, spec=SPEC_BF16, **known) for count in (10**9, 0))
    assert use_of(full) == pytest.approx(6e9 / (2 * 312e12))
    assert use_of(delta) == pytest.approx(4e9 / (2 * 312e12))
    assert use_of(Job(spec=SPEC_BF16, device="cpu")) is None
