"""One job on two slots of a real stack: two processes train it together behind every wall that this machine has."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.environment import TIMINGS
from tests.story import toys
from tests.story.conftest import launch, register, upload, wait_until_ready
from tests.story.stack import Stack, running_stack
from tests.story.test_api_story import download

pytestmark = pytest.mark.slow
TRAINING = {"epochs": 5, "batch_size": 8, "save_every": 50, "eval_every": 100, "learning_rate": 0.005}


@pytest.fixture(scope="module")
def wide_stack(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Stack]:
    """Its leases are long: here nobody is lost, and a busy machine must not make it look so."""
    environment = {
        "DELTABOARD_MODEL_FOLDERS": os.fspath(models_folder),
        "DELTABOARD_TIMINGS": json.dumps(TIMINGS | {"lease_seconds": 30.0, "ack_limit_seconds": 15.0}),
    }
    with running_stack(tmp_path_factory.mktemp("wide") / "var", "--slots", "2", **environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def shelved(wide_stack: Stack, models_folder: Path) -> tuple[int, int]:
    """A base model and a dataset version."""
    bert = register(wide_stack, models_folder / "toy-bert")
    reviews = upload(wide_stack, "reviews", "reviews.jsonl", toys.reviews())
    wait_until_ready(wide_stack, f"base-models/{bert}")
    wait_until_ready(wide_stack, f"dataset-versions/{reviews}")
    return bert, reviews


def test_two_processes_train_pause_go_on_and_make_one_delta(
    wide_stack: Stack, shelved: tuple[int, int], tmp_path: Path
) -> None:
    stack = wide_stack
    job_id = launch(stack, *shelved, training=TRAINING, gpus=2)
    stack.wait_for("steps", lambda: stack.job(job_id)["progress"]["step"] > 25, 120)
    _runs_on_two_slots(stack, job_id)
    assert stack.api("post", f"jobs/{job_id}/pause").status_code == 200
    paused = stack.wait_for_state(job_id, "paused", seconds=60)
    stack.wait_for("the tree to be gone", lambda: not stack.processes("workers.training"), 15)
    assert stack.api("post", f"jobs/{job_id}/resume").status_code == 200
    job = stack.wait_for_state(job_id, "succeeded", seconds=300)
    assert (job["attempt"], job["gpus"]) == (2, 2), stack.log_of(job_id)
    assert job["final_metrics"]["eval_accuracy"] > 0.9
    answer = stack.api("get", f"jobs/{job_id}/metrics?series=loss&points=5000").json()
    assert answer["step"] == list(range(1, job["progress"]["total_steps"] + 1))
    assert answer["attempts"][1]["first_step"] == paused["progress"]["step"] + 1
    files = {path.name for path in download(stack, job, tmp_path).iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "manifest.json"} <= files
    stack.wait_for("both slots to be free by the next hello", lambda: _busy_slots(stack) == [0], 15)


def _busy_slots(stack: Stack) -> list[int]:
    """Of each worker, as it said last."""
    return [worker["busy_slots"] for worker in stack.api("get", "workers").json()["items"]]


def _runs_on_two_slots(stack: Stack, job_id: int) -> None:
    (worker,) = stack.api("get", "workers").json()["items"]
    (attempt,) = worker["attempts"]
    assert (attempt["job_id"], len(attempt["devices"])) == (job_id, 2)
    assert (worker["slots"], worker["busy_slots"]) == (2, 2)
    events = stack.api("get", f"jobs/{job_id}/events", params={"after": 0}).json()["items"]
    (plan,) = [event for event in events if event["kind"] == "plan"]
    assert plan["processes"] == 2
    with httpx.Client(follow_redirects=True, timeout=30) as visitor:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.get(stack.sign_in_link).text)
        assert token
        assert visitor.post(stack.sign_in_link, data={"csrfmiddlewaretoken": token[1]}).status_code == 200
        assert "attempt 1 on 2 devices" in visitor.get(f"{stack.url}/workers/").text
