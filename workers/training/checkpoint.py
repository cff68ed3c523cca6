"""Saves a training so that it goes on bit for bit: trained weights, optimizer, schedule, generators, position.

A checkpoint is a folder `step-00000050`, complete or absent, and stands on its own: the best weights so far lie in it
too, since a resume may happen on another machine. What is exported is the business of `artifact.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from workers.protocol import JobSpec
from workers.training.completing import PARTIAL, complete, partial, verified
from workers.training.events import Events
from workers.training.failures import JobFailure
from workers.training.progress import Progress
from workers.training.storage import writing

WEIGHTS = "trainable.safetensors"
BEST_WEIGHTS = "best.safetensors"
"""Only where the best weights are not those of this step."""
TRAINING = "training.pt"
PROGRESS = "progress.json"
KEPT = 2


@dataclass
class Moving:
    """Everything that moves while training."""

    model: nn.Module
    optimizer: Any
    scheduler: Any
    scaler: Any | None
    """Gradient scaler of fp16."""
    progress: Progress


def identity(spec: JobSpec) -> str:
    """One hash for all that a resumed training must have in common with the one that saved."""
    same = [spec.task, spec.method, spec.options, spec.training, spec.base_model.sha256, spec.dataset.sha256]
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def folder_of(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step:08d}"


def needed_bytes(moving: Moving, best_weights: Path) -> int:
    """About what the next checkpoint takes."""
    trained = sum(each.nbytes for each in moving.model.parameters() if each.requires_grad)
    states = moving.optimizer.state_dict()["state"].values()
    moments = sum(each.nbytes for state in states for each in state.values() if isinstance(each, torch.Tensor))
    return trained + moments + (best_weights.stat().st_size if best_weights.exists() else 0)


def save(
    checkpoints: Path, spec: JobSpec, moving: Moving, best_weights: Path, everyones_generators: list[dict[str, Any]]
) -> Path:
    """Write the checkpoint of this step, and remove all but the newest two. Raises OSError; then nothing changed."""
    final = folder_of(checkpoints, moving.progress.step)
    folder = partial(final)
    try:
        save_weights(moving.model, folder / WEIGHTS)
        with writing(), (folder / TRAINING).open("wb") as file:
            torch.save(_state(moving, everyones_generators), file)
        (folder / PROGRESS).write_text(json.dumps(moving.progress.as_json()), encoding="utf-8")
        best = moving.progress.best
        if best and best.step != moving.progress.step:
            link_or_copy(best_weights, folder / BEST_WEIGHTS)
        facts = {"step": moving.progress.step, "identity": identity(spec), **_counts(len(everyones_generators))}
        complete(folder, final, facts)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for older in sorted(checkpoints.glob("step-*"))[:-KEPT]:
        shutil.rmtree(older, ignore_errors=True)
    return final


def newest(checkpoints: Path, spec: JobSpec, processes: int, events: Events) -> Path | None:
    """The newest complete checkpoint of this very job; None where it starts from the beginning.

    Torn and damaged ones are removed, those of other jobs passed over. Raises JobFailure where only damaged ones are.
    """
    for torn in checkpoints.glob(f".*{PARTIAL}"):
        shutil.rmtree(torn)
    damaged: list[Path] = []
    for folder in sorted(checkpoints.glob("step-*"), reverse=True):
        manifest = verified(folder)
        if manifest is None:
            events.log(f"Checkpoint {folder.name} is torn and was left out.", "warning")
            damaged.append(folder)
        elif manifest.get("identity") != identity(spec):
            events.log(f"Checkpoint {folder.name} belongs to another job and was left out.", "warning")
        else:
            _say_what_differs(manifest, _counts(processes), events)
            for each in damaged:
                shutil.rmtree(each)
            return folder
    if damaged:
        raise unreadable(damaged[0], "a file of it is missing, cut or changed")
    return None


def unreadable(folder: Path, why: str) -> JobFailure:
    step = int(folder.name.removeprefix("step-"))
    text = f"The checkpoint of step {step:,} cannot be read: {why}. No older one is here."
    return JobFailure("checkpoint_unreadable", text, step=step)


def _counts(processes: int) -> dict[str, int]:
    """Sums come out alike, to the last digit, only among as many threads and processes."""
    return {"threads": torch.get_num_threads(), "processes": processes}


def _say_what_differs(manifest: dict[str, Any], here: dict[str, int], events: Events) -> None:
    for name, count in here.items():
        before = manifest.get(name, 1)
        if before != count:
            events.log(
                f"Resumed with {count} {name} instead of {before}: "
                "from here on the numbers may differ in their last digits.",
                "warning",
            )


def restore(folder: Path, moving: Moving, best_weights: Path, rank: int) -> None:
    """Put everything back as it was when `folder` was saved. Raises JobFailure."""
    try:
        _restore(folder, moving, rank)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise unreadable(folder, f"its content does not fit ({type(error).__name__})") from error
    if moving.progress.best and rank == 0:
        own = folder / BEST_WEIGHTS
        link_or_copy(own if own.exists() else folder / WEIGHTS, best_weights)


def _restore(folder: Path, moving: Moving, rank: int) -> None:
    load_weights(moving.model, folder / WEIGHTS)
    moving.progress = Progress.from_json(json.loads((folder / PROGRESS).read_text(encoding="utf-8")))
    state = torch.load(folder / TRAINING, map_location="cpu", weights_only=True)
    moving.optimizer.load_state_dict(state["optimizer"])
    moving.scheduler.load_state_dict(state["scheduler"])
    if moving.scaler is not None and state["scaler"] is not None:
        moving.scaler.load_state_dict(state["scaler"])
    everyones = [state["generators"], *state.get("further_generators", [])]
    if rank < len(everyones):
        _restore_generators(everyones[rank])


def save_weights(model: nn.Module, path: Path) -> None:
    """The raw trained parameters by name, whatever the method; written beside and renamed."""
    trained = {name: each.detach().cpu().contiguous() for name, each in model.named_parameters() if each.requires_grad}
    beside = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with writing():
            save_file(trained, beside)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def load_weights(model: nn.Module, path: Path) -> None:
    """The opposite of `save_weights`, on the same model."""
    saved = load_file(path)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if each.requires_grad:
                each.copy_(saved[name])


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file that is only ever replaced, never written into; a copy where links are refused."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def seed_generators(seed: int, rank: int) -> None:
    """Everything random in a training starts here; each process drops out other units, as it sees other rows."""
    own = (seed + rank) % 2**32
    random.seed(own)
    np.random.seed(own)
    torch.manual_seed(own)


def _state(moving: Moving, everyones_generators: list[dict[str, Any]]) -> dict[str, Any]:
    first, *further = everyones_generators
    return {
        "optimizer": moving.optimizer.state_dict(),
        "scheduler": moving.scheduler.state_dict(),
        "scaler": moving.scaler.state_dict() if moving.scaler is not None else None,
        "generators": first,
        "further_generators": further,
    }


def generators() -> dict[str, Any]:
    """Where everything random in this process stands."""
    numpy_state: dict[str, Any] = dict(np.random.get_state(legacy=False))
    position = numpy_state.pop("state")
    return {
        "python": random.getstate(),
        "numpy": {**numpy_state, "key": position["key"].tolist(), "pos": position["pos"]},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore_generators(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    numpy_state = dict(state["numpy"])
    key = np.array(numpy_state.pop("key"), dtype=np.uint32)
    np.random.set_state({**numpy_state, "state": {"key": key, "pos": numpy_state.pop("pos")}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
