"""The cells of the matrix (architecture x task x method with options) and what one short training of each left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training import toys
from tests.training.architectures import ARCHITECTURES, ROWS
from tests.training.conftest import Run, StopAfter, Trainer
from workers.methods import METHODS
from workers.methods.method import Method
from workers.methods.options import Options
from workers.methods.shape import Shape
from workers.protocol import JobFolder, JobSpec, Task
from workers.training import answering
from workers.training.attempt import Attempt
from workers.training.batching import collate
from workers.training.evaluating import Evaluation
from workers.training.loop import Loop
from workers.training.methods import EQUIPMENT

STEPS = 4
RATE = 2e-2
"""High, so that few steps move every parameter."""
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "lora": (
        {"rank": 4, "dropout": 0.1},
        {"rank": 4, "targets": ["q", "v"], "use_rslora": True, "lora_plus_ratio": 16},
        {"rank": 4, "start": "pissa"},
    ),
    "dora": ({"rank": 4},),
    "qlora": ({"rank": 4},),
    "adalora": ({"initial_rank": 6, "target_rank": 3},),
    "vera": ({"rank": 16}, {"rank": 24, "targets": ["q", "k", "v", "o", "up", "down"]}),
    "oft": ({"block_size": 8}, {"block_size": 8, "targets": ["q", "o", "up", "down"]}),
    "loha": ({"rank": 4},),
    "lokr": ({"rank": 2}, {"rank": 3, "targets": ["q", "o", "up", "down"]}),
    "prompt_tuning": ({"length": 4}, {"length": 3, "start": "vocabulary"}, {"length": 3, "start": "random"}),
    "p_tuning": ({"length": 4, "width": 8},),
    "prefix_tuning": ({"length": 4}, {"length": 4, "mlp": True, "width": 8}, {"length": 3, "start": "random"}),
    "houlsby": ({"bottleneck": 4}, {"bottleneck": 4, "train_norms": True, "scale": 2.0}),
    "pfeiffer": ({"bottleneck": 4},),
    "intrinsic_dimension": (
        {"dimension": 50},
        {"dimension": 50, "structure_aware": False},
        {"dimension": 50, "include_embeddings": True},
    ),
    "last_k": ({"k": 1}, {"k": 2, "final_norm": False, "pooler": False}),
}
"""Options that fit networks of width 32, where the defaults do not or where there are several kinds to try."""
FOR_VARIANTS = {("bert", "text-classification"), ("gpt2", "causal-lm"), ("t5", "seq2seq")}
"""Where a method's second and further variants are tried; the first one is everywhere."""


def base_of(method: str, architecture: str) -> str:
    """The toy that a method is tried on: a wide one where it is kept in 4 bits."""
    return architecture if METHODS[method].quantize == "none" else f"wide {architecture}"


@dataclass(frozen=True)
class Cell:
    """One combination."""

    architecture: str
    task: Task
    method: str
    options: str = "{}"

    @property
    def base(self) -> str:
        """Its base model among the toys."""
        return base_of(self.method, self.architecture)

    def __str__(self) -> str:
        chosen = "-".join(str(value) for value in json.loads(self.options).values())
        return re.sub(r"[^\w.-]+", "", f"{self.method}-{self.architecture}-{self.task}-{chosen}").rstrip("-")


def all_cells() -> list[Cell]:
    """Everything the registry knows, on every architecture and task; some of it is refused with a sentence."""
    return [
        Cell(architecture, task, method, json.dumps(options))
        for method in METHODS
        for number, options in enumerate(VARIANTS.get(method, ({},)))
        for architecture, (_, tasks) in ARCHITECTURES.items()
        for task in tasks
        if number == 0 or (architecture, task) in FOR_VARIANTS
    ]


class WatchedAttempt(Attempt):
    """An attempt that remembers its network as it was equipped, and the loop it ended with."""

    def _prepared(self, *given: Any) -> Loop:
        self.loop = super()._prepared(*given)
        self.before = {name: each.detach().clone() for name, each in self.loop.moving.model.named_parameters()}
        self.buffers = {name: each.clone() for name, each in self.loop.moving.model.named_buffers()}
        return self.loop


@dataclass
class Trained:
    """One cell, trained for a few steps without a stop, and once more with one."""

    cell: Cell
    job: JobFolder
    run: Run
    attempt: WatchedAttempt
    _merged: Any = field(default=None)

    @property
    def method(self) -> Method:
        return METHODS[self.cell.method]

    @cached_property
    def spec(self) -> JobSpec:
        return JobSpec.from_json(json.loads(self.job.spec.read_text()))

    @property
    def chosen(self) -> Options:
        options: Options = self.method.options.from_json(self.spec.options)
        return options

    @cached_property
    def shape(self) -> Shape:
        return toys.shape_of(self.job.base_model.resolve())

    @property
    def labels(self) -> int:
        return len(self.spec.dataset.labels)

    @property
    def model(self) -> nn.Module:
        return self.attempt.loop.moving.model

    @property
    def plan(self) -> dict[str, Any]:
        return self.run.of("plan")[0]

    @cached_property
    def inputs(self) -> dict[str, torch.Tensor]:
        """Some held-out rows as one batch."""
        evaluation = self.attempt.loop.evaluation
        assert isinstance(evaluation, Evaluation)
        batch = collate(evaluation.samples[:5], evaluation.pad_token, self.cell.task != "text-classification")
        return batch.inputs

    def logits(self, model: Any = None) -> torch.Tensor:
        model = self.model.eval() if model is None else model.eval()
        with torch.no_grad():
            logits: torch.Tensor = model(**self.inputs).logits
        return logits

    def merged(self) -> Any:
        """As a worker does it: from the artifact, on a base model of its own."""
        return EQUIPMENT[self.cell.method].merge(self.on_whole_base())

    def on_whole_base(self) -> Any:
        """The artifact beside a base model in full precision."""
        load = EQUIPMENT[self.cell.method].load
        assert load is not None
        network = toys.network(self.job.base_model.resolve(), self.cell.task, self.spec.dataset.labels)
        return load(network, self.job.artifact)

    def snippet(self) -> str:
        """The card's own code with this machine's paths in it."""
        found = re.search(r"```python\n(.*?)```", (self.job.artifact / "README.md").read_text(), re.DOTALL)
        assert found is not None
        code = found[1].replace("'deltaboard/toy'", repr(str(self.job.base_model.resolve())))
        return code.replace('artifact = "."', f"artifact = {str(self.job.artifact)!r}")


def job_of(folder: Path, base_model: Path, cell: Cell) -> JobFolder:
    return toys.job(
        folder,
        base_model,
        ROWS[cell.task](24),
        cell.method,
        json.loads(cell.options),
        max_steps=STEPS,
        epochs=20,
        batch_size=6,
        learning_rate=RATE,
        eval_every=2,
        save_every=2,
        warmup=0.0,
        scheduler="constant",
    )


def trained(folder: Path, base_model: Path, cell: Cell) -> Trained:
    return trained_in(folder, job_of(folder / "whole", base_model, cell), cell)


def trained_in(folder: Path, job: JobFolder, cell: Cell) -> Trained:
    """This very job of a cell, whose settings may be others than all cells have."""
    trainer = Trainer(folder, WatchedAttempt)
    with short_answers():
        run = trainer(job)
    assert run.error is None, repr(run.error)
    assert isinstance(trainer.attempt, WatchedAttempt)
    return Trained(cell, job, run, trainer.attempt)


@contextmanager
def short_answers() -> Iterator[None]:
    """Two tokens show that a method can be asked what it says; longer answers are most of a short training's time."""
    with pytest.MonkeyPatch.context() as short:
        short.setattr(answering, "ANSWER_TOKENS", 2)
        yield


def resumed(folder: Path, base_model: Path, cell: Cell) -> Trained:
    """The same training, stopped once on its way."""
    job = job_of(folder / "resumed", base_model, cell)
    trainer = Trainer(folder, WatchedAttempt)
    with short_answers():
        first = trainer(job, StopAfter(trainer, STOPPED_AFTER))
        assert first.of("checkpoint"), "it was stopped before it had a checkpoint"
        run = trainer(job)
    assert run.error is None, repr(run.error)
    assert 0 < run.of("plan")[0]["resumed_step"] < STEPS
    assert isinstance(trainer.attempt, WatchedAttempt)
    return Trained(cell, job, run, trainer.attempt)


STOPPED_AFTER = 3
"""Between the checkpoints of the second step and the fourth."""
