"""The failure doctor: every end that settings can mend gets the one change that mends it, as a filled-in form."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Cast, claim_next
from tests.pages.test_access import browser_of
from webapp.jobs import doctor, reporting, transitions
from webapp.jobs.models import Job, Worker

TRAINING = {
    "epochs": 3.0,
    "max_steps": None,
    "learning_rate": 0.003,
    "batch_size": 16,
    "gradient_accumulation": 1,
    "max_length": 512,
    "gradient_checkpointing": False,
}


def failed(job: Job, code: str, detail: dict[str, Any] | None = None, **training: Any) -> Job:
    job.spec["training"] = TRAINING | training
    job.spec["options"] = {"rank": 8, "target_modules": ["q", "v"], "use_rslora": True}
    job.state, job.reason_code, job.reason_detail = "failed", code, detail or {}
    job.save()
    return job


def test_out_of_memory_halves_the_batch_and_keeps_the_rows_of_a_step(job: Job) -> None:
    change = doctor.change_for(failed(job, "gpu_oom"))
    assert change is not None
    assert change.training == {"batch_size": 8, "gradient_accumulation": 2}
    assert change.label == "batch size 8 × accumulation 2"


def test_a_job_given_up_for_want_of_memory_is_told_the_same(job: Job) -> None:
    change = doctor.change_for(failed(job, "crashed_worker", {"last_reason": "host_oom"}))
    assert change is not None
    assert change.training == {"batch_size": 8, "gradient_accumulation": 2}
    assert doctor.change_for(failed(job, "crashed_worker", {"last_reason": "worker_lost"})) is None


def test_a_single_row_that_does_not_fit_recomputes_activations_and_then_gets_shorter(job: Job) -> None:
    first = doctor.change_for(failed(job, "gpu_oom", batch_size=1))
    assert first is not None
    assert first.training == {"gradient_checkpointing": True}
    then = doctor.change_for(failed(job, "gpu_oom", batch_size=1, gradient_checkpointing=True))
    assert then is not None
    assert then.training == {"max_length": 256}


def test_nothing_is_suggested_where_nothing_is_left_to_shrink(job: Job) -> None:
    least = failed(job, "gpu_oom", batch_size=1, gradient_checkpointing=True, max_length=32)
    assert doctor.change_for(least) is None


def test_a_batch_over_two_gpus_stays_divisible(job: Job) -> None:
    job.gpus = 2
    change = doctor.change_for(failed(job, "gpu_oom", batch_size=2))
    assert change is not None
    assert change.training == {"gradient_checkpointing": True}


def test_a_diverged_training_gets_a_third_of_its_learning_rate(job: Job) -> None:
    change = doctor.change_for(failed(job, "diverged"))
    assert change is not None
    assert change.training == {"learning_rate": 0.001}


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("no_trainable_tokens", "Look at the dataset and its mapping"),
        ("bad_data", "Look at the dataset and its mapping"),
        ("unsafe_file", "Look at the base model"),
        ("bad_config", "Clone and change the setting"),
        ("trainer_error", "Clone and change settings"),
        ("no_output", "Clone and change settings"),
        ("time_limit", "Clone and change settings"),
    ],
)
def test_other_ends_lead_to_the_place_of_their_cause(cast: Cast, job: Job, code: str, label: str) -> None:
    fix = doctor.fix_for(failed(job, code))
    assert fix is not None
    assert fix.label == label
    assert browser_of(cast.bob).get(fix.url).status_code == 200


@pytest.mark.parametrize(
    ("code", "said", "label"),
    [
        ("stalled", "The last: The training made no progress and was stopped.", "Clone and change settings"),
        ("disk_full", "The last: The worker's disk is full.", "Look at the workers"),
        ("storage_unreachable", "The last: The worker could not hand in its files.", "Look at the workers"),
        ("worker_lost", "The last: The worker stopped answering.", "Look at the workers"),
        ("host_oom", "The last: The machine ran out of memory.", "Clone with batch size 8 × accumulation 2"),
    ],
)
def test_a_job_given_up_tells_what_broke_it_off(
    cast: Cast, job: Job, worker: Worker, code: str, said: str, label: str
) -> None:
    """By the way that three such ends really take."""
    job.spec["training"] = TRAINING
    job.save()
    for number in range(3):
        Job.objects.update(not_before=None)
        claimed = claim_next(worker, f"claim-{number}")
        assert claimed
        assert claimed.attempt
        reporting.acknowledge(claimed.attempt)
        job = transitions.end_attempt(claimed.attempt, "worker", "failed", code)
    assert (job.state, job.reason_code) == ("failed", "crashed_worker")
    assert job.reason_sentence == f"Three attempts were broken off, so it was not tried again. {said}"
    fix = doctor.fix_for(job)
    assert fix is not None
    assert fix.label == label
    assert browser_of(cast.bob).get(fix.url).status_code == 200


def test_a_job_that_did_not_fail_needs_no_fix(job: Job) -> None:
    assert doctor.fix_for(job) is None


def test_the_button_opens_a_form_with_the_change_filled_in(cast: Cast, job: Job) -> None:
    fix = doctor.fix_for(failed(job, "gpu_oom"))
    assert fix is not None
    page = browser_of(cast.bob).get(job.get_absolute_url()).content.decode()
    assert fix.label in page
    form = browser_of(cast.bob).get(fix.url).content.decode()
    assert 'name="training.batch_size" value="8"' in form
    assert 'name="training.gradient_accumulation" value="2"' in form
    assert 'name="training.learning_rate" value="0.003"' in form
    assert "with batch size 8 × accumulation 2" in form


def test_a_clone_without_a_fix_has_the_same_settings(cast: Cast, job: Job) -> None:
    data = doctor.clone_of(failed(job, "gpu_oom"))
    assert data["training.batch_size"] == "16"
    assert data.getlist("options.target_modules") == ["q", "v"]
    assert (data["options.use_rslora"], data["training.gradient_checkpointing.shown"]) == ("on", "1")
    assert "training.max_steps" not in data


@pytest.mark.parametrize("asked", ["0", "999999", "x", "²", "9" * 40])
def test_a_clone_of_what_is_not_there_is_not_found(cast: Cast, job: Job, asked: str) -> None:
    assert browser_of(cast.bob).get("/jobs/new/", {"clone": asked}).status_code == 404


def test_a_stranger_clones_nothing(cast: Cast, job: Job) -> None:
    assert browser_of(cast.charlie).get("/jobs/new/", {"clone": job.pk}).status_code == 404


def test_a_viewer_sees_the_reason_and_no_button(cast: Cast, job: Job) -> None:
    fix = doctor.fix_for(failed(job, "gpu_oom"))
    assert fix is not None
    assert fix.label not in browser_of(cast.vera).get(job.get_absolute_url()).content.decode()


def test_numbers_carry_their_units(job: Job) -> None:
    detail = {"wanted_bytes": 3 * 2**30, "learning_rate": 0.003, "last_loss": 2.5, "step": 12_000, "cached": True}
    shown = dict(doctor.numbers_of(failed(job, "gpu_oom", detail)))
    assert shown == {
        "Wanted": "3.0 GiB",
        "Learning rate": "3.0e-3",
        "Last loss": "2.500",
        "Step": "12,000",
        "Cached": "yes",
    }


def test_the_error_is_in_view_with_what_came_before() -> None:
    lines = [f"line {n}" for n in range(30)] + ["Traceback (most recent call last):", "ValueError: bad", "after"]
    shown = doctor.error_in_view(lines)
    assert [line.text for line in shown if line.error] == ["ValueError: bad"]
    assert shown[-1].text == "after"
    assert len(shown) == doctor.LINES_BEFORE + 2


def test_a_log_without_an_error_shows_its_end() -> None:
    shown = doctor.error_in_view([f"line {n}" for n in range(30)])
    assert shown[-1].text == "line 29"
    assert not any(line.error for line in shown)


def test_an_empty_log_shows_nothing() -> None:
    assert doctor.error_in_view([]) == []
