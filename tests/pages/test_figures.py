"""The job page's figures: what is drawn, in which unit, and that nothing leaves the site."""

from __future__ import annotations

import json
from typing import Any

from webapp.jobs.device_figures import system_charts
from webapp.jobs.figures import charts_for
from webapp.jobs.models import Job


def drawn(job: Job) -> dict[str, dict[str, Any]]:
    charts = [*charts_for(job), *system_charts(job)]
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
        assert len(json.dumps(figure)) < 3000


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
