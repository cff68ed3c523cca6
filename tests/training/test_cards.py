"""The card's own code, run in a fresh process without this project on its path, scores what the job said."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import MakeJob, Trainer
from workers.protocol import JobFolder
from workers.training.completing import verified

pytestmark = pytest.mark.slow

CLASSIFY = """
rows = [json.loads(line) for line in open(rows_file)]
rows = [row for row in rows if row["split"] == "eval"]
batch = tokenizer([row["text"] for row in rows], padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    numbers = model(**batch).logits.argmax(-1).tolist()
said = [model.config.id2label[number] for number in numbers]
hits = sum(one == row["label"] for one, row in zip(said, rows))
print("SCORE", hits / len(rows))
"""

COMPLETE = """
rows = [json.loads(line) for line in open(rows_file)]
loss, tokens = 0.0, 0
for row in rows:
    if row["split"] == "eval":
        prompt = tokenizer(row["prompt"])["input_ids"]
        ids = tokenizer(row["prompt"] + row["completion"])["input_ids"] + [tokenizer.eos_token_id]
        labels = [-100] * len(prompt) + ids[len(prompt):]
        count = len(ids) - len(prompt)
        with torch.no_grad():
            loss += model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.item() * count
        tokens += count
print("SCORE", loss / tokens)
"""


def score_by_card(job: JobFolder, check: str, elsewhere: Path, artifact: Path | None = None) -> float:
    """What the model of this artifact (the job's own delta if none is named) scores on the job's eval rows."""
    artifact = artifact or job.artifact
    card = (artifact / "README.md").read_text()
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found is not None
    snippet = found[1].replace("'deltaboard/toy'", repr(str(job.base_model.resolve())))
    snippet = re.sub(r'^(artifact|folder) = "."', rf"\1 = {str(artifact)!r}", snippet, flags=re.MULTILINE)
    script = elsewhere / "card.py"
    script.write_text(f"import json\nrows_file = {str(job.dataset)!r}\n{snippet}\n{check}")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-P", str(script)], cwd=elsewhere, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split("SCORE")[1])


def test_lora_for_classification(classify: MakeJob, train: Trainer, tmp_path: Path) -> None:
    job = classify(max_steps=30, epochs=20, learning_rate=5e-3)
    final: dict[str, Any] = train(job).result["final_metrics"]
    assert score_by_card(job, CLASSIFY, tmp_path) == final["eval_accuracy"]


def test_full_for_classification(classify: MakeJob, train: Trainer, tmp_path: Path) -> None:
    job = classify(method="full", max_steps=30, epochs=20, learning_rate=5e-3)
    final = train(job).result["final_metrics"]
    assert score_by_card(job, CLASSIFY, tmp_path) == final["eval_accuracy"]


def test_lora_for_a_decoder(complete_text: MakeJob, train: Trainer, tmp_path: Path) -> None:
    job = complete_text(max_steps=20, epochs=20, learning_rate=1e-2)
    final = train(job).result["final_metrics"]
    assert score_by_card(job, COMPLETE, tmp_path) == pytest.approx(final["eval_loss"], rel=1e-5)


def test_the_manifest_says_where_everything_came_from(classify: MakeJob, train: Trainer) -> None:
    job = classify(max_steps=2)
    train(job)
    manifest = verified(job.artifact)
    assert manifest is not None
    spec = json.loads(job.spec.read_text())
    assert manifest["spec"] == spec
    assert manifest["dataset"]["sha256"] == spec["dataset"]["sha256"]
    assert manifest["seed"] == 17
    assert manifest["versions"]["torch"]
    assert {file["name"] for file in manifest["files"]} >= {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "README.md",
    }
