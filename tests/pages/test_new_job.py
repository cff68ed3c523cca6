"""The new-job page: choices, the methods' own options, and every wrong field named."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast, claim_next
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job, Worker
from workers.methods import METHODS
from workers.methods.shape import ROLES


@pytest.fixture
def chosen(base_model: BaseModel, version: DatasetVersion) -> dict[str, Any]:
    return {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}


def test_the_newest_choices_are_made_already(cast: Cast, chosen: dict[str, Any]) -> None:
    text = browser_of(cast.bob).get("/jobs/new/").content.decode()
    assert f'name="base_model" value="{chosen["base_model"]}" checked' in text
    assert f'name="dataset_version" value="{chosen["dataset_version"]}" checked' in text
    assert "Trained parameters" in text


def test_start_queues_the_job_with_what_was_typed(cast: Cast, chosen: dict[str, Any]) -> None:
    typed = {"options.rank": "4", "training.learning_rate": "2e-3", "training.epochs": " 1,000 ", "name": "mine"}
    answer = browser_of(cast.bob).post("/jobs/new/", chosen | typed)
    job = Job.objects.get()
    assert answer.status_code == 302
    assert (job.name, job.state, job.created_by) == ("mine", "queued", cast.bob)
    assert (job.spec["options"]["rank"], job.spec["training"]["learning_rate"]) == (4, 2e-3)
    assert job.spec["training"]["epochs"] == 1000


@pytest.mark.parametrize(
    ("field", "text", "anchor"),
    [
        ("options.rank", "0", "options-rank"),
        ("options.rank", "abc", "options-rank"),
        ("training.epochs", "-1", "training-epochs"),
        ("training.seed", "1.5", "training-seed"),
    ],
)
def test_a_wrong_value_is_named_and_kept(
    cast: Cast, chosen: dict[str, Any], field: str, text: str, anchor: str
) -> None:
    answer = browser_of(cast.bob).post("/jobs/new/", chosen | {field: text})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert f'href="#{anchor}"' in page
    assert f'id="{anchor}-fault"' in page
    assert f'value="{text}"' in page
    assert not Job.objects.exists()


@pytest.mark.parametrize("method", ["head", "layer_norm", "full"])
def test_a_method_without_options_says_only_that(cast: Cast, chosen: dict[str, Any], method: str) -> None:
    page = browser_of(cast.bob).get("/jobs/new/", chosen | {"method": method}).content.decode()
    assert f"{METHODS[method].title} has none; what is left to choose is the training." in page
    assert "every weight" not in page


def test_nothing_chosen_is_said(cast: Cast) -> None:
    answer = browser_of(cast.bob).post("/jobs/new/", {"method": "lora"})
    assert answer.status_code == 422
    assert b"No base model is chosen." in answer.content
    assert b"No dataset is chosen." in answer.content


def test_a_choice_that_does_not_fit_says_why(cast: Cast, chosen: dict[str, Any]) -> None:
    DatasetVersion.objects.update(task="causal-lm", labels={})
    answer = browser_of(cast.bob).get("/jobs/new/", chosen)
    assert b"toy-bert can do text-classification" in answer.content


def test_a_viewer_starts_nothing(cast: Cast, chosen: dict[str, Any]) -> None:
    answer = browser_of(cast.vera).post("/jobs/new/", chosen)
    assert answer.status_code == 403
    assert not Job.objects.exists()


def test_a_stranger_cannot_train_on_it(cast: Cast, chosen: dict[str, Any]) -> None:
    answer = browser_of(cast.charlie).post("/jobs/new/", chosen)
    assert answer.status_code == 422
    assert not Job.objects.exists()


def test_each_method_tells_its_price_and_why_it_does_not_go_with_the_choice(cast: Cast, chosen: dict[str, Any]) -> None:
    page = browser_of(cast.bob).get("/jobs/new/", chosen | {"method": "houlsby"}).content.decode()
    assert "When the model answers: About a fifth more time per token" in page
    assert "no change of the base model&#x27;s weights" in page
    assert "Prefix tuning is not offered for text-classification" in page


def test_kinds_of_layers_that_a_base_model_lacks_stay_ticked_and_out_of_the_way(
    cast: Cast, chosen: dict[str, Any]
) -> None:
    """The toy has q, k and v: all ticked is still the default, one unticked is the rest of those that it has."""
    page = browser_of(cast.bob).get("/jobs/new/", chosen).content.decode()
    assert '<input type="hidden" name="options.targets" value="gate">' in page
    assert 'id="options-targets-gate"' not in page
    for ticked, kept in (
        ([*ROLES], [*ROLES]),
        ([role for role in ROLES if role != "k"], ["q", "v"]),
    ):
        sent = chosen | {"options.targets.shown": "1", "options.targets": ticked}
        assert browser_of(cast.bob).post("/jobs/new/", sent).status_code == 302
        assert Job.objects.latest("id").spec["options"]["targets"] == kept


def busy_worker(memory_bytes: int) -> Worker:
    device = {"kind": "cuda", "index": 0, "name": "A small card", "memory_bytes": memory_bytes}
    report = {"devices": [{**device, "memory_free_bytes": memory_bytes // 2}], "slots": 1}
    return Worker.objects.create(name="h1", boot_id="b", last_hello_at=timezone.now(), report=report)


def test_the_card_says_need_device_and_largest_batch_beside_full(cast: Cast, chosen: dict[str, Any]) -> None:
    busy_worker(24 * 1024**3)
    page = browser_of(cast.bob).get("/jobs/new/", chosen).content.decode()
    assert "Fits h1." in page
    assert "A small card has 24 GiB, 12 GiB free. Largest batch that fits: 256." in page
    assert '<th scope="col" class="number">Full</th>' in page
    assert 'id="too-big"' not in page


def test_what_is_too_big_is_asked_about_and_made_to_fit_with_one_click(cast: Cast, chosen: dict[str, Any]) -> None:
    busy_worker(1 * 1024**3)
    typed = chosen | {"training.batch_size": "4096", "training.max_length": "64"}
    card = browser_of(cast.bob).get("/jobs/new/", typed).content.decode().split("<output")[1]
    assert "Too big for h1." in card
    assert 'id="too-big"' in card
    assert 'data-set="training.batch_size"' in card


def test_while_somebody_types_the_card_comes_alone(cast: Cast, chosen: dict[str, Any]) -> None:
    answer = browser_of(cast.bob).get("/jobs/new/", chosen | {"options.rank": "2"}, headers={"HX-Target": "estimate"})
    card = answer.content.decode()
    assert card.strip().startswith('<output id="estimate"')
    assert "Trained parameters" in card
    assert len(card) < 6000


def test_the_card_says_when_the_job_would_start_by_the_queues_own_forecast(cast: Cast, chosen: dict[str, Any]) -> None:
    def card(**typed: Any) -> str:
        asked = chosen | typed
        return browser_of(cast.bob).get("/jobs/new/", asked, headers={"HX-Target": "estimate"}).content.decode()

    assert "no worker is online" in card()
    worker = busy_worker(24 * 1024**3)
    assert "A worker is free: at once." in card()
    launched = browser_of(cast.bob).post("/jobs/new/", chosen)
    running = Job.objects.get(pk=int(launched["Location"].split("/")[2]))
    claimed = claim_next(worker, boot_id="b")
    assert claimed
    Job.objects.filter(pk=running.pk).update(total_steps=100, pace={"paces": [12.0]})
    assert "Would start in ~20 min" in card()
    Job.objects.filter(pk=running.pk).update(pace={})
    assert "Not foreseeable" in card()
    assert "Would start" not in card(**{"queue.gpus": "many"})


def test_sample_prompts_can_be_switched_off(cast: Cast, chosen: dict[str, Any]) -> None:
    browser_of(cast.bob).post("/jobs/new/", chosen | {"training.sample_prompts": "0"})
    assert Job.objects.get().spec["training"]["sample_prompts"] == 0
    refused = browser_of(cast.bob).post("/jobs/new/", chosen | {"training.sample_prompts": "9"})
    assert 'href="#training-sample_prompts"' in refused.content.decode()
