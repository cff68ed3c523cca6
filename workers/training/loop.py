"""The one training loop, for every method: step, evaluate, checkpoint, say so. It knows no method and no file format.

What happens next follows from `Progress` alone, so a resumed training does what the undisturbed one would have done.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from workers.methods.hyperparameters import Training
from workers.protocol import EventKind, JobSpec
from workers.training import checkpoint
from workers.training.batching import Batch, collate, training_order
from workers.training.evaluating import Evaluation, SignOfLife
from workers.training.events import Events
from workers.training.failures import JobFailure, Stopped
from workers.training.losses import summed_loss
from workers.training.memory import MemorySampler
from workers.training.samples import Sample

CLIP_NORM = 1.0
DIVERGED_AFTER = 3
"""Steps in a row whose loss is not a number."""


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
    _order: tuple[int, list[list[int]]] = field(default=(-1, []))

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
                    self._save_at_the_end()
                    return
                self._save_if_due()
                self._stop_if_asked()
                self._step()
        except Stopped:
            self._save()
            raise

    def _stop_if_asked(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _enough(self) -> bool:
        patience = self.training.early_stopping_patience
        enough = patience is not None and self.moving.progress.worse_evaluations >= patience
        if enough:
            self.events.log(f"Stopped early: {patience} evaluations in a row were no better.")
        return enough

    # ---- one optimizer step ------------------------------------------------------------------

    def _step(self) -> None:
        started = time.perf_counter()
        batches = self._next_batches()
        waited = time.perf_counter() - started
        rate = self.moving.scheduler.get_last_lr()[0]
        loss, norm = self._learn(batches)
        self._count(batches, loss)
        self._report(batches, loss, norm, rate, time.perf_counter() - started, waited)
        self._fail_if_diverged()

    def _learn(self, batches: list[Batch]) -> tuple[float, float]:
        """Forward, backward and update; the loss per label and the norm of the gradient before clipping."""
        labels = sum(batch.supervised for batch in batches)
        model, optimizer = self.moving.model, self.moving.optimizer
        total = torch.zeros((), device=self.accelerator.device)
        for batch in batches:
            loss = summed_loss(model(**batch.inputs).logits, batch.labels, self.spec.task) / labels
            self.accelerator.backward(loss)
            total += loss.detach()
        if (penalty := self.moving.equipment.penalty(model)) is not None:
            self.accelerator.backward(penalty)
        trained = [each for group in optimizer.param_groups for each in group["params"]]
        norm = self.accelerator.clip_grad_norm_(trained, CLIP_NORM)
        loss_value, norm_value = torch.stack([total, norm.to(total.device)]).tolist()
        if math.isfinite(loss_value) or self.moving.scaler is not None:
            # An update from a loss that is not a number would spoil every weight; the step is counted, not taken.
            # The gradient scaler of fp16 sees to that itself.
            optimizer.step()
            self.moving.equipment.after_step(model, self.moving.progress.step + 1)
        self.moving.scheduler.step()
        optimizer.zero_grad()
        return loss_value, norm_value

    def _next_batches(self) -> list[Batch]:
        """The batches of one optimizer step; the last step of an epoch may have fewer."""
        progress = self.moving.progress
        order = self._epoch_order(progress.epoch)
        numbers = order[progress.position : progress.position + self.training.gradient_accumulation]
        progress.position += len(numbers)
        if progress.position >= len(order):
            progress.epoch, progress.position = progress.epoch + 1, 0
        return [self._batch(each) for each in numbers]

    def _batch(self, numbers: list[int]) -> Batch:
        samples = [self.rows[number] for number in numbers]
        return collate(samples, self.pad_token, self.spec.task != "text-classification").to(self.accelerator.device)

    def _epoch_order(self, epoch: int) -> list[list[int]]:
        if self._order[0] != epoch:
            lengths = [len(sample.input_ids) for sample in self.rows]
            self._order = (epoch, training_order(lengths, self.training.batch_size, self.training.seed, epoch))
        return self._order[1]

    def _count(self, batches: list[Batch], loss: float) -> None:
        progress = self.moving.progress
        progress.step += 1
        progress.tokens_seen += sum(batch.tokens for batch in batches)
        progress.last_loss = loss if math.isfinite(loss) else progress.last_loss
        progress.losses_not_finite = 0 if math.isfinite(loss) else progress.losses_not_finite + 1

    def _report(
        self, batches: list[Batch], loss: float, norm: float, rate: float, seconds: float, waited: float
    ) -> None:
        values = {
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": norm,
            "tokens_per_second": sum(batch.tokens for batch in batches) / seconds,
            "samples_per_second": sum(batch.rows for batch in batches) / seconds,
            "step_seconds": seconds,
            "data_wait_share": waited / seconds,
            "tokens_seen": float(self.moving.progress.tokens_seen),
            **self.memory.values(),
        }
        self._say("metrics", epoch=self._epochs(), values=values)

    def _fail_if_diverged(self) -> None:
        progress = self.moving.progress
        if progress.losses_not_finite >= DIVERGED_AFTER:
            raise JobFailure(
                "diverged",
                f"The loss was no number for {DIVERGED_AFTER} steps in a row, last at step {progress.step:,}. "
                "Try a third of the learning rate, or another number format.",
                step=progress.step,
                learning_rate=self.training.learning_rate,
            )

    # ---- between steps -----------------------------------------------------------------------

    def _evaluate_if_due(self) -> None:
        progress = self.moving.progress
        last = progress.step >= self.total_steps
        due = last or progress.step % (self.training.eval_every or self.total_steps) == 0
        if self.evaluation is None or not due or progress.evaluated_step == progress.step:
            return
        self._say("phase", phase="evaluating")
        metrics = self.evaluation.score(self.moving.model, self.alive())
        if progress.judge(metrics, self.spec.task):
            checkpoint.save_weights(self.moving.model, self.best_weights)
        self._say("metrics", epoch=self._epochs(), values=metrics)
        self._say("phase", phase="training")

    def alive(self) -> Callable[[], None]:
        """To be called during an evaluation: says now and then that it goes on, and gives up if asked to stop."""
        sign = SignOfLife(lambda: self._say("phase", phase="evaluating"))

        def alive() -> None:
            self._stop_if_asked()
            sign()

        return alive

    def _save_if_due(self) -> None:
        progress = self.moving.progress
        due = progress.step and progress.step % (self.training.save_every or self.total_steps) == 0
        if due and progress.saved_step != progress.step:
            self._save()

    def _save_at_the_end(self) -> None:
        """What follows (scoring, handing in) may be cut off: the next attempt then repeats nothing."""
        if self.moving.progress.saved_step != self.moving.progress.step:
            self._save()

    def _save(self) -> None:
        progress = self.moving.progress
        if progress.step == 0:
            return
        before, progress.saved_step = progress.saved_step, progress.step
        self._say("phase", phase="saving")
        try:
            folder = checkpoint.save(self.checkpoints, self.spec, self.moving, self.best_weights)
        except OSError as error:
            progress.saved_step = before
            self.events.log(
                f"The checkpoint of step {progress.step:,} could not be saved: {error.strerror}.", "warning"
            )
        else:
            best = progress.best is not None and progress.best.step == progress.step
            self._say("checkpoint", folder=folder.name, best=best)
        self._say("phase", phase="training")

    def _epochs(self) -> float:
        return self.moving.progress.step / self.steps_per_epoch

    def _say(self, kind: EventKind, **fields: Any) -> None:
        self.events.emit(kind, step=self.moving.progress.step, **fields)
