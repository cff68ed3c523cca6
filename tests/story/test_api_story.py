"""The first fine-tune end to end, over the API: real broker, real Celery worker, real training, real artifact."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.story.conftest import Shelf, launch
from tests.story.stack import Stack

pytestmark = pytest.mark.slow
LONG = {"epochs": 300, "eval_every": 50, "save_every": 20}


def download(stack: Stack, job: dict[str, Any], folder: Path) -> Path:
    answer = stack.api("get", f"artifacts/{job['artifacts'][0]['id']}/download")
    assert answer.status_code == 200
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder)
    return folder


def run_card(delta: Path, base_model: Path, check: str) -> str:
    """Run the card's own snippet in a fresh process that cannot import Deltaboard, then print `check`."""
    snippet = re.search(r"```python\n(.*?)```", (delta / "README.md").read_text(), re.DOTALL)
    assert snippet
    code = snippet[1]
    code = re.sub(r"^base_model = .*$", f"base_model = {str(base_model)!r}", code, count=1, flags=re.MULTILINE)
    environment = {"PATH": os.environ["PATH"], "HOME": str(delta), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{check}"], cwd=delta, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lora_job_learns_and_its_delta_loads_with_stock_peft(
    stack: Stack, shelf: Shelf, models_folder: Path, tmp_path: Path
) -> None:
    job_id = launch(stack, shelf.bert, shelf.reviews, training={"epochs": 8, "learning_rate": 0.005})
    job = stack.wait_for_state(job_id, "succeeded")
    assert job["final_metrics"]["eval_accuracy"] > 0.9
    assert job["progress"]["step"] == job["progress"]["total_steps"]
    assert 0 < job["trainable_percent"] < 50
    assert job["peak_memory_bytes"] > 10_000_000
    series = stack.api("get", f"jobs/{job_id}/metrics?series=loss").json()
    assert series["step"] == list(range(1, job["progress"]["total_steps"] + 1))
    delta = download(stack, job, tmp_path)
    manifest = json.loads((delta / "manifest.json").read_text())
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {file["name"] for file in manifest["files"]}
    rows = stack.api("get", f"dataset-versions/{shelf.reviews}/rows?limit=200").json()["items"]
    rows += stack.api("get", f"dataset-versions/{shelf.reviews}/rows?limit=200&offset=200").json()["items"]
    held_out = [row for row in rows if row["split"] == "eval"]
    check = (
        "import json, torch\n"
        f"rows = json.loads({json.dumps(json.dumps(held_out))})\n"
        "inputs = tokenizer([row['text'] for row in rows], padding=True, return_tensors='pt')\n"
        "with torch.no_grad(): ids = model(**inputs).logits.argmax(-1).tolist()\n"
        "right = [model.config.id2label[n] == row['label'] for n, row in zip(ids, rows)]\n"
        "print(sum(right) / len(right))"
    )
    accuracy = float(run_card(delta, models_folder / "toy-bert", check).strip().splitlines()[-1])
    assert accuracy == pytest.approx(job["final_metrics"]["eval_accuracy"])
    merged = merged_on_request(stack, job["artifacts"][0]["id"], tmp_path / "merged")
    assert not list(merged.glob("adapter*"))
    assert float(run_card(merged, merged, check).strip().splitlines()[-1]) == accuracy


def merged_on_request(stack: Stack, delta: int, folder: Path) -> Path:
    stack.api("post", f"artifacts/{delta}/merge").raise_for_status()
    merged = stack.wait_for("a merge", lambda: stack.api("get", f"artifacts/{delta}").json()["merging"]["artifact"])
    answer = stack.api("get", f"artifacts/{merged}/download")
    assert answer.status_code == 200
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder)
    return folder


def test_a_decoder_learns_by_lora_and_by_full_fine_tuning(stack: Stack, shelf: Shelf) -> None:
    training = {"epochs": 4, "learning_rate": 0.005}
    jobs = [launch(stack, shelf.llama, shelf.completions, method, training=training) for method in ("lora", "full")]
    for job_id in jobs:
        job = stack.wait_for_state(job_id, "succeeded")
        series = stack.api("get", f"jobs/{job_id}/metrics").json()["series"]
        losses = [value for value in series["eval_loss"] if value is not None]
        assert losses[-1] < 0.8 * losses[0]
        assert job["final_metrics"]["eval_perplexity"] > 1


def test_cancelling_ends_the_training_tree(stack: Stack, shelf: Shelf) -> None:
    job_id = launch(stack, shelf.bert, shelf.reviews, training=LONG)
    stack.wait_for("first steps", lambda: stack.job(job_id)["progress"]["step"] > 3)
    assert stack.processes("workers.training")
    asked = time.monotonic()
    assert stack.api("post", f"jobs/{job_id}/cancel").status_code == 200
    stack.wait_for("the tree to be gone", lambda: not stack.processes("workers.training"), 12)
    job = stack.wait_for_state(job_id, "cancelled", seconds=12)
    assert time.monotonic() - asked < 12
    assert job["reason"]["code"] == "cancelled_by_user"


def test_a_killed_worker_loses_at_most_one_save_interval(stack: Stack, shelf: Shelf) -> None:
    training = {"epochs": 12, "save_every": 20, "eval_every": 20, "learning_rate": 0.005}
    job_id = launch(stack, shelf.bert, shelf.reviews, training=training)
    stack.wait_for("a checkpoint that is handed in", lambda: stack.job(job_id)["checkpoint_step"])
    (worker, *_) = stack.processes("workers", "--name")
    os.kill(worker.pid, signal.SIGKILL)
    job = stack.wait_for_state(job_id, "succeeded")
    assert job["attempt"] == 2
    answer = stack.api("get", f"jobs/{job_id}/metrics?series=loss&points=5000").json()
    assert answer["step"] == list(range(1, job["progress"]["total_steps"] + 1))
    assert answer["attempts"][1]["first_step"] > 1


def read_stream(stack: Stack, job_id: int, stop: int, **headers: str) -> list[tuple[int, str]]:
    """(id, kind) of events on the live stream, until the id reaches `stop` or the job ends."""
    seen: list[tuple[int, str]] = []
    headers = {"Authorization": f"Bearer {stack.token}", "Accept": "text/event-stream", **headers}
    with httpx.stream("GET", f"{stack.url}/api/v1/jobs/{job_id}/events", headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        number = 0
        for line in answer.iter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("event: ") and line != "event: beat":  # says only that the line is alive
                seen.append((number, line[7:]))
                if number >= stop or line[7:] == "end":
                    return seen
    return seen


def test_the_live_stream_resumes_without_gap_or_double(stack: Stack, shelf: Shelf) -> None:
    job_id = launch(stack, shelf.bert, shelf.reviews, training={"epochs": 4})
    first = read_stream(stack, job_id, stop=20)
    rest = read_stream(stack, job_id, stop=10**9, **{"Last-Event-ID": str(first[-1][0])})
    numbers = [number for number, _ in first + rest]
    assert numbers == list(range(1, len(numbers) + 1))
    assert rest[-1][1] == "end"
    assert stack.job(job_id)["state"] == "succeeded"


def test_the_live_stream_is_shut_to_strangers(stack: Stack, shelf: Shelf) -> None:
    job_id = launch(stack, shelf.bert, shelf.reviews, training={"epochs": 1})
    stranger = stack.manage("createtoken", "charlie", "--team", "others")
    address = f"{stack.url}/api/v1/jobs/{job_id}/events"
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, headers={"Authorization": f"Bearer {stranger}"}).status_code == 404
