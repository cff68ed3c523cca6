"""Writes the delta artifact: the method's files, tokenizer, card, and a manifest that says where it all came from."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from workers.protocol import JobFolder, JobSpec
from workers.training import card
from workers.training.base_model import load_tokenizer
from workers.training.completing import complete, partial
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import Equipment

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Of Python and every library whose version may change the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def write(model: Any, spec: JobSpec, job: JobFolder, results: card.Results) -> int:
    """Export the model as it is now; returns the bytes of the finished folder. Raises OSError."""
    equipment = EQUIPMENT[spec.method]
    folder = partial(job.artifact)
    equipment.export(model, folder, spec)
    # A fresh tokenizer: the one that encoded the rows remembers how they were cut.
    load_tokenizer(job.base_model).save_pretrained(folder)
    used = versions()
    (folder / card.FILE).write_text(card.write(spec, _loading(equipment, spec), used, results), encoding="utf-8")
    manifest = complete(folder, job.artifact, _facts(spec, used, results))
    return sum(file["bytes"] for file in manifest["files"])


def _loading(equipment: Equipment, spec: JobSpec) -> str:
    merges = equipment.merge_before_generating and spec.task != "text-classification"
    return equipment.snippet(spec) + (card.MERGE_FIRST if merges else "")


def _facts(spec: JobSpec, used: dict[str, str], results: card.Results) -> dict[str, Any]:
    base = spec.base_model
    return {
        "job": {"id": spec.job_id, "name": spec.name},
        "base_model": {
            "name": base.name,
            "source": base.source,
            "revision": base.revision,
            "sha256": base.sha256,
        },
        "dataset": {
            "name": spec.dataset.name,
            "version": spec.dataset.number,
            "sha256": spec.dataset.sha256,
            "labels": list(spec.dataset.labels),
        },
        "spec": spec.as_json(),
        "seed": spec.training["seed"],
        "step": results.step,
        "metrics": results.after,
        "metrics_before": results.before,
        "trainable_parameters": results.trainable_parameters,
        "total_parameters": results.total_parameters,
        "versions": used,
    }
