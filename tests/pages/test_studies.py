"""Pages of studies and of comparing: every tab opens with and without results, strangers find nothing."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import recording, studying
from webapp.jobs.models import Artifact, Attempt, Job, Study, Worker
from webapp.jobs.studying import Arm, StudyWish

TABS = ("table", "curves", "scores", "efficiency", "config")


@pytest.fixture
def study(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Study:
    arms = (Arm("lora", (2, 4)), Arm("bitfit"), Arm("full"))
    return studying.start(cast.bob, StudyWish(cast.team, base_model, version, arms, (1, 2), {"max_steps": 20}, "sweep"))


@pytest.fixture
def ended(study: Study, worker: Worker) -> Study:
    """Every job has succeeded, with a score, memory, time and a delta."""
    now = timezone.now()
    for place, job in enumerate(study.jobs.order_by("id")):
        Job.objects.filter(pk=job.pk).update(
            state="succeeded",
            started_at=now - timedelta(minutes=5 + place),
            ended_at=now,
            best_metric={"name": "eval_accuracy", "value": 0.7 + place / 50, "step": 9},
            trainable_parameters=100 * (place % 4 + 1) ** 3,
            total_parameters=20_000,
            peak_memory_bytes=10**9 + place,
            final_metrics={"eval_loss": 0.5 - place / 100},
            tokens_seen=1000 * (place + 1),
            forward_pass={"base_seconds": 1.0, "delta_seconds": 1.1, "rows": 8, "tokens": 24},
        )
        attempt = Attempt.objects.create(
            job=job,
            number=1,
            worker=worker,
            boot_id="b",
            claim_id=f"c{place}",
            token_prefix=f"p{place}",
            lease_until=now,
        )
        Artifact.objects.create(job=job, attempt=attempt, bytes=4000 * (place % 4 + 1), files=[], manifest={})
    return study


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_before_there_are_results(cast: Cast, study: Study, tab: str) -> None:
    answer = browser_of(cast.bob).get(study.get_absolute_url(), {"tab": tab})
    assert answer.status_code == 200
    assert b"8 jobs, 8 open" in answer.content


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_with_results_in_bounded_queries(
    cast: Cast, ended: Study, tab: str, django_assert_max_num_queries: Any
) -> None:
    browser = browser_of(cast.bob)
    with django_assert_max_num_queries(15 if tab != "curves" else 60):
        answer = browser.get(ended.get_absolute_url(), {"tab": tab})
    assert answer.status_code == 200


def test_the_front_holds_the_numbers_of_the_jobs(cast: Cast, ended: Study) -> None:
    answer = browser_of(cast.bob).get(ended.get_absolute_url(), {"tab": "efficiency"})
    figure = next(each for each in answer.context["figures"] if each["name"] == "front-trained-0")["drawn"]
    points = {
        (text, round(x, 6), round(y, 6))
        for trace in figure["data"]
        if trace["uid"] != "front"
        for text, x, y in zip(trace["hovertext"], trace["x"], trace["y"], strict=True)
    }
    # two seeds each, at places 0 and 4, 1 and 5, …: mean of 0.70 and 0.78, and so on
    assert points == {
        ("LoRA 2", 0.5, 0.74),
        ("LoRA 4", 4.0, 0.76),
        ("BitFit", 13.5, 0.78),
        ("Full fine-tuning", 32.0, 0.8),
    }
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert figure["config"]["showSendToCloud"] is False


def view(cast: Cast, study: Study, **query: Any) -> Any:
    return browser_of(cast.bob).get(study.get_absolute_url(), query)


def test_the_efficiency_tab_sweeps_sizes_and_explains_the_memory(cast: Cast, ended: Study) -> None:
    figures = {each["name"]: each["drawn"] for each in view(cast, ended, tab="efficiency").context["figures"]}
    line = figures["by-size"]["data"][0]
    assert (line["name"], line["x"], line["y"]) == ("LoRA", [2.0, 4.0], pytest.approx([0.74, 0.76]))
    parts = [trace["name"] for trace in figures["memory-parts"]["data"]]
    assert parts[-2:] == ["unattributed", "measured peak"]
    assert "weights" in parts
    assert [each["text"] for each in figures["d90"]["layout"]["annotations"]] == ["90 % of full fine-tuning"]


def test_scores_are_drawn_over_the_settings_in_which_jobs_differ(cast: Cast, ended: Study) -> None:
    figures = {each["title"]: each["drawn"] for each in view(cast, ended, tab="scores").context["figures"]}
    over = figures["Score over rank"]
    assert sorted({x for trace in over["data"] for x in trace["x"]}) == [2, 4]


def test_the_address_holds_what_is_hidden_the_baseline_the_order_and_the_tasks(cast: Cast, ended: Study) -> None:
    answer = view(cast, ended, tab="efficiency", hide="3", sort="-trained", tasks="250", y="gain", baseline="1")
    titles = [row.group.title for row in answer.context["trade_offs"]]
    assert titles == ["Full fine-tuning", "LoRA 4", "LoRA 2"]
    assert "250 tasks" in answer.content.decode()
    assert "hide=3&amp;baseline=1&amp;tasks=250&amp;y=gain&amp;sort=-trained&amp;tab=curves" in answer.content.decode()
    table = view(cast, ended, hide="3", baseline="1").content.decode()
    assert "Show BitFit in figures" in table
    assert "+0.020 against LoRA 2" in table


@pytest.mark.parametrize(
    "odd",
    [
        {"hide": "x,-1,99"},
        {"hide": "9" * 5000},
        {"tasks": "1e9"},
        {"tasks": "0"},
        {"baseline": "y"},
        {"sort": "-"},
        {"group": "x"},
    ],
)
def test_an_odd_address_breaks_nothing(cast: Cast, ended: Study, odd: dict[str, str]) -> None:
    assert view(cast, ended, tab="efficiency", **odd).status_code == 200


def test_the_table_has_the_loss_of_every_job_as_a_small_line_on_its_groups_scale(cast: Cast, ended: Study) -> None:
    for place, job in enumerate(ended.jobs.order_by("id")[:5]):  # LoRA 2 has two jobs that have told anything
        points = [{"kind": "metrics", "step": n, "time": 1.0, "values": {"loss": 9.0 - n + place}} for n in (1, 2, 3)]
        recording.record(job.pk, job.attempts.get(), points[: 1 if place == 1 else 3])
    answer = view(cast, ended)
    lines = [row.lines for row in answer.context["rows"]]
    # of 6 to 12: 8, 7, 6 lies in the lower half, 12, 11, 10 in the upper one
    assert lines[0] == ["M0.0 13.0L40.0 16.0L80.0 19.0", "M0.0 1.0L40.0 4.0L80.0 7.0"]
    assert lines[1] == []  # one point is no line
    assert [len(each) for each in lines] == [2, 0, 1, 1]
    assert answer.content.decode().count('class="spark"') == 3


def curves_of(cast: Cast, study: Study) -> tuple[dict[str, Any], Any]:
    context = view(cast, study, tab="curves").context
    return {each["name"]: each["drawn"] for each in context["figures"]}, context["legend"]


def test_a_line_names_its_job_a_band_all_of_its_jobs_and_what_goes_on_ends_in_an_open_cap(
    cast: Cast, ended: Study
) -> None:
    one, other = ended.jobs.order_by("id")[0], ended.jobs.order_by("id")[4]
    for job, loss in ((one, 2.0), (other, 1.0)):  # two seeds of LoRA 2
        values = {"loss": loss, "eval_accuracy": 0.5}
        points = [{"kind": "metrics", "step": n, "time": 60.0 * n, "values": values} for n in (1, 2)]
        recording.record(job.pk, job.attempts.get(), points)
    Job.objects.filter(pk=other.pk).update(state="running")
    drawn, legend = curves_of(cast, ended)
    lines = {trace["meta"]["jobs"][0]: trace for trace in drawn["loss"]["data"]}
    assert lines[one.pk]["mode"] == "lines"
    assert lines[other.pk]["marker"]["symbol"] == ["circle", "circle-open"]
    assert all(trace["meta"]["jobs"] == [one.pk, other.pk] for trace in drawn["seeds"]["data"])
    told = [(line.job, line.last) for line in legend if line.last is not None]
    assert told == [(other, 1.0), (one, 2.0)]  # the lowest first, then those without a loss


def test_a_workers_clock_that_is_behind_makes_no_minute_negative(cast: Cast, ended: Study) -> None:
    job = ended.jobs.order_by("id")[0]  # began by our clock long after what it tells
    points = [{"kind": "metrics", "step": n, "time": 60.0 * n, "values": {"eval_accuracy": 0.5}} for n in (1, 2, 4)]
    recording.record(job.pk, job.attempts.get(), points)
    (line,) = curves_of(cast, ended)[0]["best-time"]["data"]
    assert line["x"] == [0.0, 1.0, 3.0]


def test_the_address_says_by_what_jobs_are_grouped(cast: Cast, ended: Study) -> None:
    answer = view(cast, ended, group="training.seed")
    assert [row.group.title for row in answer.context["rows"]] == ["Seed 1", "Seed 2"]
    assert "group=training.seed&amp;tab=scores" in answer.content.decode()
    scores = view(cast, ended, group="method", tab="scores").context["figures"][0]["drawn"]
    assert sorted(trace["y"][0] for trace in scores["data"]) == ["BitFit", "Full fine-tuning", "LoRA"]
    costs = view(cast, ended, group="training.seed", tab="efficiency", hide="1").context["trade_offs"]
    assert [(row.group.title, len(row.group.jobs)) for row in costs][:2] == [("LoRA 2", 1), ("LoRA 4", 1)]


def test_the_share_of_the_full_gain_is_on_the_axis_once_the_base_models_score_is_known(
    cast: Cast, ended: Study
) -> None:
    attempt = Attempt.objects.get(job=ended.jobs.order_by("id")[0])
    untouched = {"kind": "metrics", "step": 0, "time": 1.0, "values": {"eval_accuracy": 0.5}}
    recording.record(attempt.job_id, attempt, [untouched])
    answer = view(cast, ended, tab="efficiency", y="gain")
    figure = next(each for each in answer.context["figures"] if each["name"] == "front-trained-0")["drawn"]
    assert figure["layout"]["yaxis"]["title"]["text"] == "share of the full gain, %"
    lora = next(trace for trace in figure["data"] if trace["uid"] == "front-reparameterization")
    assert lora["y"] == pytest.approx([80.0, 260 / 3])


def test_what_models_said_to_one_prompt_stands_side_by_side(cast: Cast, ended: Study) -> None:
    ended.jobs.update(task="causal-lm")
    for job, text in zip(ended.jobs.order_by("id")[:2], ("yes", "no"), strict=True):
        samples = [{"prompt": "Is it?", "wanted": "yes", "said": text}]
        recording.record(job.pk, job.attempts.get(), [{"kind": "phase", "step": 9, "samples": samples}])
    ((prompt, wanted, answers),) = view(cast, ended, tab="samples").context["across"]
    assert (prompt, wanted) == ("Is it?", "yes")
    assert [(group.title, text) for group, _, text in answers] == [("LoRA 2", "yes"), ("LoRA 4", "no")]


def front_of(cast: Cast, study: Study, name: str, **query: Any) -> Any:
    figures = {each["name"]: each for each in view(cast, study, tab="efficiency", **query).context["figures"]}
    return figures[name]


def test_the_eval_loss_can_stand_on_the_y_axis_and_less_is_better(cast: Cast, ended: Study) -> None:
    drawn = front_of(cast, ended, "front-trained-0", y="loss")["drawn"]
    assert drawn["layout"]["yaxis"]["title"]["text"] == "eval loss"
    line = next(trace for trace in drawn["data"] if trace["uid"] == "front")
    assert line["y"] == pytest.approx([0.48, 0.47, 0.46, 0.45])


def test_tokens_are_a_cost_and_energy_says_what_it_lacks(cast: Cast, ended: Study) -> None:
    drawn = front_of(cast, ended, "front-tokens-0")["drawn"]
    assert sorted(x for trace in drawn["data"] if trace["uid"] != "front" for x in trace["x"]) == [3e3, 4e3, 5e3, 6e3]
    assert "tells its power" in front_of(cast, ended, "front-energy-0")["missing"]
    ended.jobs.update(energy_joules=7.2e6)
    drawn = front_of(cast, ended, "front-energy-0")["drawn"]
    assert {x for trace in drawn["data"] if trace["uid"] != "front" for x in trace["x"]} == {2.0}


def test_literature_is_off_at_first_grey_and_never_on_the_front(cast: Cast, ended: Study) -> None:
    def uids(**query: str) -> dict[str, Any]:
        return {trace["uid"]: trace for trace in front_of(cast, ended, "front-trained-0", **query)["drawn"]["data"]}

    off, on = uids(), uids(papers="1")
    assert "literature" not in off
    assert on["literature"]["meta"]["colour"] == "--axis"
    assert on["front"]["x"] == off["front"]["x"]
    assert "literature" not in uids(papers="1", y="loss")


def test_a_study_without_a_full_reference_offers_to_add_one(cast: Cast, ended: Study) -> None:
    assert "Add a full fine-tuning job" in view(cast, ended, tab="efficiency").content.decode()  # the base is unknown
    ended.jobs.filter(method="full").delete()
    bob = browser_of(cast.bob)
    answer = bob.post(f"/studies/{ended.pk}/add/", {"methods": "full", "seeds": "1,2"})
    assert answer.status_code == 302
    assert ended.jobs.filter(method="full").count() == 2
    assert "Add a full fine-tuning job" not in view(cast, ended, tab="efficiency").content.decode()


def test_where_all_are_of_one_method_the_sweep_is_offered(cast: Cast, ended: Study) -> None:
    assert "All settings here are of one method" not in view(cast, ended, tab="efficiency").content.decode()
    ended.jobs.exclude(method="lora").delete()
    assert "All settings here are of one method" in view(cast, ended, tab="efficiency").content.decode()


def test_a_baseline_gives_every_cost_as_a_multiple_of_its_own(cast: Cast, ended: Study) -> None:
    rows = view(cast, ended, baseline="1").context["rows"]
    assert rows[0].ratios == {}
    assert rows[1].ratios["artifact"] == pytest.approx(2.0)
    assert rows[1].ratios["tokens"] == pytest.approx(4 / 3)


def test_the_form_starts_a_study(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> None:
    bob = browser_of(cast.bob)
    assert bob.get("/studies/new/?suggested=1").context["count"].endswith("jobs")
    sent = {"base_model": base_model.pk, "dataset_version": version.pk, "seeds": "1, 2", "training.max_steps": "30"}
    answer = bob.post("/studies/new/", {**sent, "methods": ["lora", "bitfit"], "sizes.lora": "4, 8"})
    assert answer.status_code == 302
    assert Study.objects.get().jobs.count() == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": "x"}, "is not a list of whole numbers"),
        ({"methods": []}, "No method is chosen"),
        ({"training.epochs": "many"}, "is no number"),
        ({"base_model": ""}, "No base model is chosen"),
        ({"sizes.lora": "99999999"}, "lora"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_queued(
    cast: Cast, base_model: BaseModel, version: DatasetVersion, change: dict[str, Any], words: str
) -> None:
    sent = {"base_model": base_model.pk, "dataset_version": version.pk, "seeds": "1", "methods": ["lora"]}
    answer = browser_of(cast.bob).post("/studies/new/", {**sent, **change})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Study.objects.exists()


def test_all_jobs_are_cancelled_at_once_and_one_is_added(cast: Cast, study: Study) -> None:
    bob = browser_of(cast.bob)
    added = bob.post(f"/studies/{study.pk}/add/", {"methods": ["layer_norm"], "seeds": "1"})
    assert added.status_code in (302, 422)
    assert bob.post(f"/studies/{study.pk}/cancel/").status_code == 302
    assert not study.jobs.exclude(state="cancelled").exists()


def test_a_stranger_finds_neither_study_nor_jobs_to_compare(cast: Cast, study: Study) -> None:
    charlie = browser_of(cast.charlie)
    assert charlie.get(study.get_absolute_url()).status_code == 404
    assert charlie.post(f"/studies/{study.pk}/cancel/").status_code == 404
    assert b"sweep" not in charlie.get("/studies/").content
    ids = ",".join(str(job.pk) for job in study.jobs.all())
    assert b"Pick two or more jobs" in charlie.get("/compare/", {"jobs": ids}).content


def test_a_viewer_may_look_but_not_cancel(cast: Cast, study: Study) -> None:
    vera = browser_of(cast.vera)
    assert b"Cancel all" not in vera.get(study.get_absolute_url()).content
    assert vera.post(f"/studies/{study.pk}/cancel/").status_code == 403


def test_any_jobs_are_compared_and_unlike_ones_are_named(cast: Cast, ended: Study) -> None:
    first, second, *_ = ended.jobs.order_by("id")
    spec = {**first.spec, "training": {**first.spec["training"], "gradient_checkpointing": True}}
    Job.objects.filter(pk=first.pk).update(spec=spec)
    answer = browser_of(cast.bob).get("/compare/", {"jobs": f"{first.pk},{second.pk},nonsense,99999999999999999999"})
    assert b"These jobs differ in gradient checkpointing" in answer.content
    assert b"Compare 2 jobs" in answer.content


def test_the_csv_has_a_line_for_each_method_and_size_with_the_apis_numbers(cast: Cast, ended: Study) -> None:
    browser = browser_of(cast.bob)
    lines = list(csv.DictReader(browser.get(f"/api/v1/studies/{ended.pk}?format=csv").content.decode().splitlines()))
    groups = browser.get(f"/api/v1/studies/{ended.pk}").json()["groups"]
    assert [line["title"] for line in lines] == [group["title"] for group in groups]
    assert [float(line["score"]) for line in lines] == [group["score"]["mean"] for group in groups]
    assert [float(line["artifact_bytes"]) for line in lines] == [4000, 8000, 12000, 16000]


def test_a_metric_that_a_worker_named_is_no_formula_in_the_csv(cast: Cast, ended: Study) -> None:
    Job.objects.update(best_metric={"name": "=HYPERLINK(1)", "value": -0.5, "step": 9})
    text = browser_of(cast.bob).get(f"/api/v1/studies/{ended.pk}?format=csv").content.decode()
    lines = list(csv.DictReader(text.splitlines()))
    assert {(line["metric"], line["score"]) for line in lines} == {("'=HYPERLINK(1)", "-0.5")}
