"""The one training loop, for every method: step, evaluate, checkpoint, say so. It knows no method and no file format.

What happens next follows from `Progress` alone, so a resumed training does what the undisturbed one would have done.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from workers.methods.hyperparameters import Training
from workers.methods.schedule import CLIP_NORM
from workers.protocol import EventKind, JobSpec
from workers.training import checkpoint, storage, telling
from workers.training.batching import Batch, collate, training_order
from workers.training.evaluating import Evaluation, SignOfLife
from workers.training.events import Events
from workers.training.failures import Stopped, diverged
from workers.training.losses import summed_loss
from workers.training.memory import MemorySampler
from workers.training.peers import Peers
from workers.training.samples import Sample
from workers.training.spent import Spent

DIVERGED_AFTER = 3
"""Steps in a row whose loss is not a number."""


@dataclass
class Written:
    """How a write went."""

    failed: bool = False


@dataclass
class Loop:
    """One training, from wherever `moving.progress` stands to its end."""

    spec: JobSpec
    training: Training
    moving: checkpoint.Moving
    accelerator: Accelerator
    rows: list[Sample]
    evaluation: Evaluation | None
    """None without eval rows."""
    pad_token: int
    checkpoints: Path
    best_weights: Path
    """Where the best weights so far lie while training."""
    events: Events
    memory: MemorySampler
    stop: threading.Event
    """Set when the supervisor asks for an end."""
    peers: Peers
    """The processes that train together; all of them run this loop in step."""
    numbers: dict[str, Any]
    """Where the training stands, for the detail of a failure."""
    _stopping: bool = False
    """Every process knows of the same step that one of them was asked to stop."""
    _order: tuple[int, list[list[int]]] = field(default=(-1, []))
    _spent: Spent = field(default_factory=Spent)

    @property
    def total_steps(self) -> int:
        return self.training.steps(len(self.rows))

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.rows) // (self.training.batch_size * self.training.gradient_accumulation))

    def run(self) -> None:
        """Train to the end. Raises Stopped, with a checkpoint on disk, or JobFailure."""
        progress = self.moving.progress
        self._say("phase", phase="training")
        self.moving.model.train()
        try:
            while True:
                self._evaluate_if_due()
                if progress.step >= self.total_steps or self._enough():
                    self._save()
                    return
                self._save_if_due()
                self._stop_if_asked()
                self._step()
        except Stopped:
            self._save()
            raise

    def _stop_if_asked(self) -> None:
        if self._stopping or (self.peers.size == 1 and self.stop.is_set()):
            raise Stopped

    def _enough(self) -> bool:
        patience = self.training.early_stopping_patience
        progress = self.moving.progress
        enough = patience is not None and progress.worse_evaluations >= patience
        if enough:
            progress.stopped_early = True
            self.events.log(f"Stopped early: {patience} evaluations in a row were no better.")
        return enough

    # ---- one optimizer step ------------------------------------------------------------------

    def _step(self) -> None:
        started = time.perf_counter()
        with self._spent.on("data"):
            forward_passes = self._next_rows()
            batches = [batch for numbers in forward_passes if (batch := self._batch(self.peers.share(numbers)))]
        rate = self.moving.scheduler.get_last_lr()[0]
        samples = [self.rows[number] for numbers in forward_passes for number in numbers]
        with self._spent.on("forward_backward"):
            loss, norm = self._gradients(batches, sum(sample.supervised for sample in samples))
        with self._spent.on("optimizer"):
            self._update(loss, norm)
        self._count(samples, loss, norm)
        self._report(samples, loss, norm, rate, time.perf_counter() - started)
        self._fail_if_diverged()

    def _gradients(self, batches: list[Batch], labels: int) -> tuple[float, float]:
        """Forward and backward; the loss per label and the norm of the gradient before clipping."""
        model, optimizer = self.moving.model, self.moving.optimizer
        total = torch.zeros((), device=self.accelerator.device)
        for batch in batches:
            self.numbers |= {"batch_rows": batch.rows, "batch_length": batch.length}
            part = summed_loss(model(**batch.inputs).logits, batch.labels, self.spec.task) / labels
            self.accelerator.backward(part)
            total += part.detach()
        penalty = self.moving.equipment.penalty(model) if self.peers.is_first else None  # once, however many sum up
        if penalty is not None:
            self.accelerator.backward(penalty)
        total, self._stopping = self.peers.sum_step(model, total, self.stop.is_set())
        trained = [each for group in optimizer.param_groups for each in group["params"]]
        norm = self.accelerator.clip_grad_norm_(trained, CLIP_NORM)
        loss, norm = torch.stack([total, norm.to(total.device)]).tolist()  # on a GPU it is waited for here
        return loss, norm

    def _update(self, loss: float, norm: float) -> None:
        if self._is_sound(loss, norm) or self.moving.scaler is not None:
            # An update from numbers that are none would spoil every weight; the step is counted, not taken.
            # The gradient scaler of fp16 sees to that itself.
            self.moving.optimizer.step()
            self.moving.equipment.after_step(self.moving.model, self.moving.progress.step + 1)
        self.moving.scheduler.step()
        self.moving.optimizer.zero_grad()

    def _is_sound(self, loss: float, norm: float) -> bool:
        """Under the scaler of fp16 a gradient too large is nothing unusual: it looks for its scale that way."""
        return math.isfinite(loss) and (math.isfinite(norm) or self.moving.scaler is not None)

    def _next_rows(self) -> list[list[int]]:
        """Row numbers of each forward pass of one optimizer step; the last step of an epoch may have fewer."""
        progress = self.moving.progress
        order = self._epoch_order(progress.epoch)
        numbers = order[progress.position : progress.position + self.training.gradient_accumulation]
        progress.position += len(numbers)
        if progress.position >= len(order):
            progress.epoch, progress.position = progress.epoch + 1, 0
        return numbers

    def _batch(self, numbers: list[int]) -> Batch | None:
        """None for no rows: where a batch has fewer than there are processes."""
        if not numbers:
            return None
        samples = [self.rows[number] for number in numbers]
        return collate(samples, self.pad_token, self.spec.task != "text-classification").to(self.accelerator.device)

    def _epoch_order(self, epoch: int) -> list[list[int]]:
        if self._order[0] != epoch:
            lengths = [len(sample.input_ids) for sample in self.rows]
            self._order = (epoch, training_order(lengths, self.training.batch_size, self.training.seed, epoch))
        return self._order[1]

    def _count(self, samples: list[Sample], loss: float, norm: float) -> None:
        progress = self.moving.progress
        progress.step += 1
        progress.tokens_seen += sum(len(sample.input_ids) for sample in samples)
        self.numbers["step"] = progress.step
        if self._is_sound(loss, norm):
            progress.last_loss, progress.losses_not_finite = loss, 0
        else:
            progress.losses_not_finite += 1

    def _report(self, samples: list[Sample], loss: float, norm: float, rate: float, seconds: float) -> None:
        values = {
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": norm,
            "tokens_per_second": sum(len(sample.input_ids) for sample in samples) / seconds,
            "samples_per_second": len(samples) / seconds,
            "step_seconds": seconds,
            "data_wait_share": self._spent.seconds["data"] / seconds,
            "tokens_seen": float(self.moving.progress.tokens_seen),
            **self._spent.told(),
            **self.memory.values(),
        }
        self._say("metrics", epoch=self._epochs(), values=values)

    def _fail_if_diverged(self) -> None:
        progress = self.moving.progress
        if progress.losses_not_finite < DIVERGED_AFTER:
            return
        raise diverged(progress, DIVERGED_AFTER, self.training.learning_rate or 0.0)

    # ---- between steps -----------------------------------------------------------------------

    def _evaluate_if_due(self) -> None:
        progress = self.moving.progress
        last = progress.step >= self.total_steps
        due = last or progress.step % (self.training.eval_every or self.total_steps) == 0
        if self.evaluation is None or not due or progress.evaluated_step == progress.step:
            return
        self._say("phase", phase="evaluating")
        evaluation = self.evaluation
        with self._spent.on("evaluation"):
            metrics, said = self.peers.from_first(lambda: evaluation.look(self.moving.model, self.alive()))
        best_before = progress.best
        if progress.judge(metrics, self.spec.task) and not self.peers.from_first(self._best_kept):
            progress.best = best_before
        self._say("metrics", epoch=self._epochs(), values=metrics)
        self.events.log(telling.evaluation(progress))
        self._say("phase", phase="training", **({"samples": said} if said else {}))

    def _best_kept(self) -> bool:
        with self._writing("the best weights so far") as written:
            checkpoint.save_weights(self.moving.model, self.best_weights)
        return not written.failed

    def alive(self) -> Callable[[], None]:
        """To be called during an evaluation: says now and then that it goes on, and gives up if asked to stop."""
        sign = SignOfLife(lambda: self._say("phase", phase="evaluating"))

        def alive() -> None:
            if self.stop.is_set():
                raise Stopped
            sign()

        return alive

    def _save_if_due(self) -> None:
        step = self.moving.progress.step
        if step % (self.training.save_every or self.total_steps) == 0:
            self._save()

    def _save(self) -> None:
        """Also at the end: what follows (scoring, handing in) may be cut off, and the next attempt repeats nothing."""
        progress = self.moving.progress
        if progress.step == 0 or progress.saved_step == progress.step:
            return
        before, progress.saved_step = progress.saved_step, progress.step
        self._say("phase", phase="saving")
        everyones = self.peers.gathered(checkpoint.generators())
        with self._spent.on("saving"):
            if not self.peers.from_first(lambda: self._checkpoint_kept(everyones)):
                progress.saved_step = before
        self._say("phase", phase="training")

    def _checkpoint_kept(self, everyones_generators: list[dict[str, Any]]) -> bool:
        progress = self.moving.progress
        with self._writing(f"the checkpoint of step {progress.step:,}") as written:
            folder = checkpoint.save(self.checkpoints, self.spec, self.moving, self.best_weights, everyones_generators)
            best = progress.best is not None and progress.best.step == progress.step
            self._say("checkpoint", folder=folder.name, best=best)
        return not written.failed

    @contextmanager
    def _writing(self, what: str) -> Iterator[Written]:
        """A write that the training can do without: warned of where the next may succeed, else the job's end."""
        written = Written()
        try:
            yield written
        except OSError as error:
            needed = checkpoint.needed_bytes(self.moving, self.best_weights)
            end = storage.failure(error, self.checkpoints, what, needed)
            if end is not None:
                raise end from error
            written.failed = True
            self.events.log(f"Could not write {what}: {error.strerror}. The training goes on.", "warning")

    def _epochs(self) -> float:
        return self.moving.progress.step / self.steps_per_epoch

    def _say(self, kind: EventKind, **fields: Any) -> None:
        self.events.emit(kind, step=self.moving.progress.step, **fields)
