"""Saves a training so that it goes on bit for bit: trained weights, optimizer, schedule, generators, position.

A checkpoint is a folder `step-00000050`, complete or absent, and stands on its own: the best weights so far lie in it
too, since a resume may happen on another machine. What is exported is the business of `artifact.py`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from workers.protocol import JobSpec
from workers.training.completing import PARTIAL, complete, partial, verified
from workers.training.events import Events
from workers.training.methods.equipping import Equipment
from workers.training.progress import Progress

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
    equipment: Equipment
    """Of the method; it may have a state of its own."""
    progress: Progress


def identity(spec: JobSpec) -> str:
    """One hash for all that a resumed training must have in common with the one that saved."""
    same = [spec.task, spec.method, spec.options, spec.training, spec.base_model.sha256, spec.dataset.sha256]
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def folder_of(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step:08d}"


def save(checkpoints: Path, spec: JobSpec, moving: Moving, best_weights: Path) -> Path:
    """Write the checkpoint of this step, and remove all but the newest two. Raises OSError; then nothing changed."""
    final = folder_of(checkpoints, moving.progress.step)
    folder = partial(final)
    try:
        save_weights(moving.model, folder / WEIGHTS)
        with writing():
            torch.save(_state(moving), folder / TRAINING)
        (folder / PROGRESS).write_text(json.dumps(moving.progress.as_json()), encoding="utf-8")
        best = moving.progress.best
        if best and best.step != moving.progress.step:
            link_or_copy(best_weights, folder / BEST_WEIGHTS)
        facts = {"step": moving.progress.step, "identity": identity(spec), "threads": torch.get_num_threads()}
        complete(folder, final, facts)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for older in sorted(checkpoints.glob("step-*"))[:-KEPT]:
        shutil.rmtree(older)
    return final


def newest(checkpoints: Path, spec: JobSpec, events: Events) -> Path | None:
    """The newest complete checkpoint of this very job; torn ones are removed, those of other jobs passed over."""
    for torn in checkpoints.glob(f".*{PARTIAL}"):
        shutil.rmtree(torn)
    for folder in sorted(checkpoints.glob("step-*"), reverse=True):
        manifest = verified(folder)
        if manifest is None:
            events.log(f"Checkpoint {folder.name} is torn and was left out.", "warning")
            shutil.rmtree(folder)
        elif manifest.get("identity") != identity(spec):
            events.log(f"Checkpoint {folder.name} belongs to another job and was left out.", "warning")
        else:
            if manifest["threads"] != torch.get_num_threads():
                events.log(
                    f"Resumed with {torch.get_num_threads()} threads instead of {manifest['threads']}: "
                    "from here on the numbers may differ in their last digits.",
                    "warning",
                )
            return folder
    return None


def restore(folder: Path, moving: Moving, best_weights: Path) -> None:
    """Put everything back as it was when `folder` was saved."""
    load_weights(moving.model, folder / WEIGHTS)
    moving.progress = Progress.from_json(json.loads((folder / PROGRESS).read_text(encoding="utf-8")))
    if moving.progress.best:
        own = folder / BEST_WEIGHTS
        link_or_copy(own if own.exists() else folder / WEIGHTS, best_weights)
    state = torch.load(folder / TRAINING, map_location="cpu", weights_only=True)
    moving.optimizer.load_state_dict(state["optimizer"])
    moving.scheduler.load_state_dict(state["scheduler"])
    if moving.scaler is not None and state["scaler"] is not None:
        moving.scaler.load_state_dict(state["scaler"])
    moving.equipment.restore(moving.model, state["method"])
    _restore_generators(state["generators"])


@contextmanager
def writing() -> Iterator[None]:
    """The libraries' own errors for a failed write, as the OSError that it is: a full disk is not the job's fault."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        raise OSError(errno.ENOSPC, f"writing failed: {error}") from error


def save_weights(model: nn.Module, path: Path) -> None:
    """The raw trained parameters by name, whatever the method; written beside and renamed."""
    trained = {name: each.detach().cpu().contiguous() for name, each in model.named_parameters() if each.requires_grad}
    beside = path.with_name(f".{path.name}{PARTIAL}")
    with writing():
        save_file(trained, beside)
    beside.replace(path)


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


def seed_generators(seed: int) -> None:
    """Everything random in a training starts here."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _state(moving: Moving) -> dict[str, Any]:
    return {
        "optimizer": moving.optimizer.state_dict(),
        "scheduler": moving.scheduler.state_dict(),
        "scaler": moving.scaler.state_dict() if moving.scaler is not None else None,
        "method": moving.equipment.state(moving.model),
        "generators": _generators(),
    }


def _generators() -> dict[str, Any]:
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
