"""The job page's tabs and the page about estimates: each opens, says what is there, and trusts no report."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import yaml
from django.utils import timezone

from tests.conftest import Cast, claim_next
from tests.pages.test_access import browser_of
from webapp.jobs import reporting, transitions
from webapp.jobs.config_text import as_command, as_yaml
from webapp.jobs.models import Attempt, Checkpoint, Job, Worker
from webapp.jobs.recording import messages_after
from webapp.jobs.saved import saved
from webapp.jobs.shown import shown
from webapp.jobs.sparklines import path

TABS = ("overview", "system", "efficiency", "data", "log", "checkpoints", "config", "history")


@pytest.fixture
def attempt(job: Job, worker: Worker) -> Attempt:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def plan(**shown: Any) -> dict[str, Any]:
    return {"kind": "plan", "total_steps": 10, "trainable_parameters": 90, "total_parameters": 1000, **shown}


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_in_bounded_queries(
    cast: Cast, attempt: Attempt, tab: str, django_assert_max_num_queries: Any
) -> None:
    browser = browser_of(cast.vera)
    with django_assert_max_num_queries(15):
        assert browser.get(attempt.job.get_absolute_url(), {"tab": tab}).status_code == 200


def test_trained_modules_and_the_loss_mask_are_shown_as_text(cast: Cast, attempt: Attempt) -> None:
    modules = [{"kind": "q", "parameters": 80, "tensors": 4}, {"kind": "head", "parameters": 10, "tensors": 1}]
    runs = [{"text": "<b>ask</b> ", "trained": False}, {"text": "answer", "trained": True}]
    told = plan(trained_modules=modules, first_rows=[{"runs": runs, "tokens": 9, "cut": False, "answer": ""}])
    reporting.accept(attempt, 1, [told])
    browser, address = browser_of(cast.bob), attempt.job.get_absolute_url()
    system = browser.get(address, {"tab": "system"}).content.decode()
    assert "80 in 4" in system
    data = browser.get(address, {"tab": "data"}).content.decode()
    assert "<mark>answer</mark>" in data
    assert "&lt;b&gt;ask&lt;/b&gt;" in data


@pytest.mark.parametrize(
    "nonsense",
    [
        {"trained_modules": "all", "first_rows": 3},
        {"trained_modules": [{"kind": "q", "parameters": "many"}, 7], "first_rows": [{"runs": "x"}, None]},
        {"trained_modules": [{"parameters": -4}], "first_rows": [{"runs": [{"text": None}], "tokens": "nine"}]},
    ],
)
def test_a_worker_that_reports_nonsense_breaks_no_page(cast: Cast, attempt: Attempt, nonsense: dict[str, Any]) -> None:
    reporting.accept(attempt, 1, [plan(**nonsense)])
    assert shown(attempt.job).parts == []
    for tab in ("system", "data"):
        assert browser_of(cast.bob).get(attempt.job.get_absolute_url(), {"tab": tab}).status_code == 200


def test_the_estimates_page_holds_ranges_against_measurements(cast: Cast, job: Job) -> None:
    assert b"No estimate to judge yet" in browser_of(cast.bob).get("/estimates/").content
    now = timezone.now()
    said = {"memory": [1024**3, 2 * 1024**3], "seconds": None, "rough": True}
    Job.objects.update(state="succeeded", estimated=said, peak_memory_bytes=3 * 1024**3, started_at=now, ended_at=now)
    text = browser_of(cast.bob).get("/estimates/").content.decode()
    assert "1.0 GiB to 2.0 GiB" in text
    assert "outside" in text
    assert "No estimate" in browser_of(cast.charlie).get("/estimates/").content.decode()


def metrics(step: int) -> dict[str, Any]:
    return {"kind": "metrics", "step": step, "time": 100.0 + 2 * step, "values": {"loss": 1.0, "grad_norm": 2.0}}


def test_the_time_left_is_a_range_once_twenty_steps_are_made(cast: Cast, attempt: Attempt) -> None:
    told = {**plan(), "total_steps": 200}
    reporting.accept(attempt, 1, [told, *map(metrics, range(1, 16))])
    page = browser_of(cast.vera).get(attempt.job.get_absolute_url()).content.decode()
    assert "estimating the time left" in page
    reporting.accept(attempt, 17, [*map(metrics, range(16, 61))])
    reporting.accept(attempt, 62, [{**metrics(61), "time": 1000.0, "left": [0, 1]}])  # a long evaluation in between
    page = browser_of(cast.vera).get(attempt.job.get_absolute_url()).content.decode()
    assert "5 min to 41 min left" in page
    heard = messages_after(attempt.job_id, 0)
    assert [message["n"] for message in heard if "left" in message] == [heard[-1]["n"]]
    low, high = heard[-1]["left"]
    assert low == 2 * 139
    assert high == pytest.approx(139 * (48 * 2 + 780) / 49, abs=0.1)  # the mean of the newest 49 paces, pause and all


def test_the_log_is_filtered_by_level(cast: Cast, attempt: Attempt) -> None:
    lines = [{"kind": "log", "level": level, "text": f"a line of {level}"} for level in ("info", "warning", "error")]
    reporting.accept(attempt, 1, lines)
    for level, seen in (("", 3), ("warning", 2), ("error", 1), ("nonsense", 3)):
        page = browser_of(cast.vera).get(attempt.job.get_absolute_url(), {"tab": "log", "level": level})
        assert page.content.decode().count("a line of") == seen


def test_a_config_is_held_against_another_jobs(cast: Cast, attempt: Attempt) -> None:
    job = attempt.job
    other = Job.objects.get(pk=job.pk)
    other.pk, other.name, other.idempotency_key = None, "the other", None
    other.spec = {**job.spec, "training": {**job.spec["training"], "learning_rate": 0.125}}
    other.save()
    asked = {"tab": "config", "against": str(other.pk)}
    page = browser_of(cast.vera).get(job.get_absolute_url(), asked).content.decode()
    assert page.index("training.learning_rate <span") < page.index("method</th>")
    assert "0.125" in page
    none = browser_of(cast.vera).get(job.get_absolute_url(), {"tab": "config", "against": "nonsense"})
    assert "Choose a job on the same base model" in none.content.decode()


def test_checkpoints_say_how_well_it_stood_and_which_is_kept(cast: Cast, attempt: Attempt) -> None:
    values = {"eval_loss": 0.625}
    said = [{"kind": "checkpoint", "step": step, "best": step == 1} for step in (1, 2)]
    scored = {"kind": "metrics", "step": 1, "time": 102.5, "values": values}
    reporting.accept(attempt, 1, [plan(), metrics(1), scored, said[0], metrics(2), said[1]])
    Checkpoint.objects.create(job=attempt.job, attempt=attempt, step=2, bytes=2048, files=[])
    Job.objects.update(best_metric={"name": "eval_loss", "value": 0.625, "step": 1})
    attempt.job.refresh_from_db()
    newest, first = saved(attempt.job)
    assert (newest.step, newest.next, newest.best, newest.train_loss) == (2, True, False, 1.0)
    assert (first.kept, first.best, first.eval_loss, first.attempt) == (None, True, 0.625, 1)
    page = browser_of(cast.vera).get(attempt.job.get_absolute_url(), {"tab": "checkpoints"}).content.decode()
    assert 'id="step-1"' in page
    assert "A resume goes on here" in page
    assert "2.0 KiB" in page


def test_the_log_is_filtered_by_attempt_and_names_its_last_error(cast: Cast, attempt: Attempt, worker: Worker) -> None:
    reporting.accept(attempt, 1, [{"kind": "log", "text": "ValueError: of the first"}])
    transitions.end_attempt(attempt, "reconciler", "released", "worker_lost")
    Job.objects.update(not_before=None)
    claimed = claim_next(worker, "claim-2")
    assert claimed
    second = claimed.attempt
    assert second
    reporting.acknowledge(second)
    reporting.accept(second, 1, [{"kind": "log", "text": "a line of the second"}])
    browser, address = browser_of(cast.vera), attempt.job.get_absolute_url()
    both = browser.get(address, {"tab": "log"}).content.decode()
    assert 'id="log-error">ValueError' in both
    assert "a line of the second" in both
    only = browser.get(address, {"tab": "log", "attempt": "2"}).content.decode()
    assert "ValueError" not in only
    assert "data-fixed" not in only
    assert "data-fixed" in browser.get(address, {"tab": "log", "attempt": "1"}).content.decode()
    assert "ValueError" in browser.get(address, {"tab": "log", "attempt": "9"}).content.decode()


def test_a_config_is_taken_along_as_yaml_and_as_a_command(cast: Cast, job: Job) -> None:
    odd = {"a": {"b": ["1", 1.5, None], "no": True, "2024-01-01": "it's: #1"}, "empty": {}, "rate": 1e-05}
    odd |= {"a\u2028b": ["broken\x85 line", "\x7f\x9f", "\ufeff\ufffe"]}  # a label may be so
    assert yaml.safe_load(as_yaml(odd)) == odd
    job.refresh_from_db()
    assert yaml.safe_load(as_yaml(job.spec)) == job.spec
    words = shlex.split(as_command(job, "https://board.example/api/v1/jobs"))
    body = json.loads(words[words.index("-d") + 1])
    assert (body["method"], body["options"]) == (job.method, job.spec["options"])
    page = browser_of(cast.vera).get(job.get_absolute_url(), {"tab": "config"}).content.decode()
    assert "curl http://testserver/api/v1/jobs" in page


def another(job: Job, **changes: Any) -> Job:
    made = Job.objects.get(pk=job.pk)
    made.pk, made.idempotency_key = None, None
    for name, value in changes.items():
        setattr(made, name, value)
    made.save()
    return made


def test_numbers_are_held_against_the_pinned_job_and_unlike_is_said(cast: Cast, job: Job) -> None:
    best = {"name": "eval_accuracy", "value": 0.9, "step": 5}
    sizes = {"trainable_parameters": 400, "total_parameters": 1000, "peak_memory_bytes": 1000}
    ended = {"state": "succeeded", "last_loss": 0.5, **sizes, "best_metric": best}
    first = another(job, name="the first", **ended)
    fewer = {"trainable_parameters": 100, "peak_memory_bytes": 1100, "last_loss": 0.53}
    spec = {**job.spec, "training": {**job.spec["training"], "max_length": 77}}
    second = another(first, name="the second", best_metric={**best, "value": 0.912}, spec=spec, **fewer)
    browser = browser_of(cast.vera)
    assert "vs baseline" not in browser.get(second.get_absolute_url()).content.decode()
    browser.post(f"/jobs/{first.pk}/pin/")
    page = browser.get(second.get_absolute_url()).content.decode()
    for told in ("1/4 vs", "+10 % vs", "+0.030 vs", "+1.2 points vs"):
        assert told in page, told
    assert "which differs in longest row" in page
    assert "Unpin baseline" in browser.get(first.get_absolute_url()).content.decode()
    shared = browser_of(cast.alice).get(second.get_absolute_url(), {"against": str(first.pk)}).content.decode()
    assert "+1.2 points vs" in shared
    for nobody in ("", "nonsense", "99999999999999999999", "9" * 5000, str(second.pk)):
        assert "vs baseline" not in browser.get(second.get_absolute_url(), {"against": nobody}).content.decode()
    browser.post(f"/jobs/{first.pk}/pin/")
    assert "vs baseline" not in browser.get(second.get_absolute_url()).content.decode()


def test_a_baseline_of_another_team_is_nobodys(cast: Cast, job: Job) -> None:
    foreign = another(job, team=cast.other_team, last_loss=1.0, state="succeeded")
    browser = browser_of(cast.bob)
    assert browser.post(f"/jobs/{foreign.pk}/pin/").status_code == 404
    asked = browser.get(job.get_absolute_url(), {"against": str(foreign.pk)})
    assert asked.context["baseline"] is None


def test_a_job_stands_on_the_front_with_a_ring_once_two_are_comparable(cast: Cast, job: Job) -> None:
    def page(of: Job) -> Any:
        return browser_of(cast.vera).get(of.get_absolute_url(), {"tab": "efficiency"})

    best = {"name": "eval_accuracy", "value": 0.8, "step": 5}
    done = another(job, state="succeeded", best_metric=best, trainable_parameters=10, total_parameters=1000)
    assert "Needs 2 comparable jobs" in page(done).content.decode()
    better = {**best, "value": 0.9}
    another(done, method="bitfit", spec={**job.spec, "method": "bitfit"}, best_metric=better, trainable_parameters=5)
    other_rows = {**job.spec, "training": {**job.spec["training"], "max_length": 77}}
    another(done, method="ia3", spec=other_rows, trainable_parameters=7)
    answer = page(done)
    drawn = answer.context["fronts"][0][2]
    rims = {text: width for trace in drawn["data"] if trace["uid"] != "front" for text, width in rims_of(trace)}
    assert len(rims) == 2
    assert sorted(rims.values()) == [1, 3]
    assert rims[next(name for name in rims if name.startswith("LoRA"))] == 3
    assert "js/job.js" not in answer.content.decode()
    assert "joins them once it has succeeded" in page(job).content.decode()


def rims_of(trace: dict[str, Any]) -> list[tuple[str, int]]:
    return list(zip(trace["hovertext"], trace["marker"]["line"]["width"], strict=True))


def test_a_sparkline_is_short_and_ignores_what_is_no_number() -> None:
    line = path([float(n) for n in range(1000)])
    assert line.startswith("M0.0 19.0L")
    assert line.count("L") == 39
    assert path([1.0, float("nan")]) == ""
