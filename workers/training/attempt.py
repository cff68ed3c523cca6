"""One attempt at a job, told from the spec in its folder to the artifact; every chapter is a module of this room."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers.utils import logging as transformers_logging

from workers.methods import METHODS
from workers.methods.hyperparameters import Training
from workers.protocol import JobFolder, JobSpec
from workers.training import (
    artifact,
    base_model,
    checkpoint,
    data,
    devices,
    forward_pass,
    optimizing,
    showing,
    storage,
    telling,
    verdict,
)
from workers.training.answering import Asking, prompts_of
from workers.training.card import Results
from workers.training.evaluating import Evaluation
from workers.training.events import Events
from workers.training.failures import Stopped
from workers.training.loop import Loop
from workers.training.memory import MemorySampler
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import Setting, Sizes, sizes
from workers.training.peers import Peers
from workers.training.place import Place
from workers.training.progress import Progress

BEST_WEIGHTS = "best.safetensors"

# Bars and load reports are made for a terminal; here they would only fill the worker's log.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()


@dataclass
class Attempt:
    """What an attempt works with, whatever becomes of it."""

    job: JobFolder
    events: Events
    stop: threading.Event
    place: Place = field(default_factory=Place)
    numbers: dict[str, Any] = field(default_factory=dict)
    """Settings in force and the place reached: the detail of a failure."""
    peers: Peers = field(default_factory=Peers, init=False)
    sizes: Sizes = field(init=False)
    fresh: forward_pass.Fresh = field(init=False)
    dtype: torch.dtype = field(init=False)
    """Of the frozen weights. All three are known once the network is equipped."""
    shown: dict[str, Any] = field(default_factory=dict, init=False)
    """What a person should see before hours go by: the first rows, and what is trained where."""

    def run(self) -> None:
        """Train, export, report. Raises Stopped or JobFailure."""
        spec = JobSpec.from_json(json.loads(self.job.spec.read_text(encoding="utf-8")))
        training = Training.from_json(spec.training)
        self._note_settings(spec, training)
        hardware = devices.choose(training.precision, self.place)
        memory = MemorySampler(hardware.device)
        try:
            loop = self._prepared(spec, training, hardware, memory)
            self._plan(loop, hardware)
            loop.run()
            if self.peers.is_first:
                self._hand_over(loop)
            self.peers.leave()
        finally:
            memory.close()

    def _note_settings(self, spec: JobSpec, training: Training) -> None:
        self.numbers |= {
            "batch_size": training.batch_size,
            "micro_batch": -(-training.batch_size // self.place.size),
            "processes": self.place.size,
            "gradient_accumulation": training.gradient_accumulation,
            "gradient_checkpointing": training.gradient_checkpointing,
            "max_length": training.max_length,
            "learning_rate": training.learning_rate,
            "warmup": training.warmup,
            "precision": training.precision,
        }
        if "rank" in spec.options:
            self.numbers["rank"] = spec.options["rank"]

    def _prepared(self, spec: JobSpec, training: Training, hardware: devices.Hardware, memory: MemorySampler) -> Loop:
        tokenizer = base_model.training_tokenizer(self.job.base_model)
        start = base_model.decoder_start(self.job.base_model)
        rows = data.load(self.job.dataset, spec, tokenizer, start, self.events)
        self.numbers["train_rows"] = len(rows.train)
        self.shown["first_rows"] = showing.first_rows(rows.train, tokenizer)
        if spec.task != "text-classification":
            self.numbers["trainable_token_share"] = rows.trainable_token_share
        steps = training.steps(len(rows.train))
        model, self.sizes = self._equipped(spec, training, hardware, tokenizer, steps)
        self._join(model, training, hardware)
        accelerator = Accelerator(mixed_precision=hardware.mixed_precision, cpu=hardware.device.type == "cpu")
        options = METHODS[spec.method].options.from_json(spec.options)
        optimizer = optimizing.adamw(model, training, lambda name: EQUIPMENT[spec.method].care(name, options))
        scheduler = optimizing.schedule(optimizer, training, steps)
        model, optimizer = accelerator.prepare(model, optimizer)
        texts = rows.eval[: training.sample_prompts] if spec.task != "text-classification" else []
        asking = Asking(prompts_of(texts, training.max_length or 0), tokenizer, hardware.device)
        evaluation = Evaluation(
            rows.eval, spec.task, training.batch_size, tokenizer.pad_token_id, hardware.device, asking
        )
        checkpoint.seed_generators(training.seed, self.place.rank)
        loop = Loop(
            spec=spec,
            training=training,
            moving=checkpoint.Moving(
                model, optimizer, scheduler, accelerator.scaler, EQUIPMENT[spec.method], Progress()
            ),
            accelerator=accelerator,
            rows=rows.train,
            evaluation=evaluation if rows.eval else None,
            pad_token=tokenizer.pad_token_id,
            checkpoints=_made(self.job.checkpoints),
            best_weights=_made(self.job.scratch) / BEST_WEIGHTS,
            events=self.events,
            memory=memory,
            stop=self.stop,
            peers=self.peers,
            numbers=self.numbers,
        )
        self._resume(loop)
        return loop

    def _join(self, model: Any, training: Training, hardware: devices.Hardware) -> None:
        self.peers = Peers.join(self.place, on_gpu=hardware.device.type == "cuda")
        self.peers.start_equal(model)
        if training.batch_size < self.peers.size:
            self.events.log(
                f"A batch of {training.batch_size} rows leaves some of the {self.peers.size} processes without work; "
                "raise the batch size.",
                "warning",
            )

    def _equipped(
        self, spec: JobSpec, training: Training, hardware: devices.Hardware, tokenizer: Any, steps: int
    ) -> tuple[Any, Sizes]:
        equipment = EQUIPMENT[spec.method]
        self.dtype = hardware.frozen_dtype if equipment.freezes_base else devices.FORMATS["fp32"]
        self.fresh = lambda dtype: base_model.load_network(
            self.job.base_model, spec.task, spec.dataset.labels, tokenizer, dtype, training.seed, training.quantize
        )
        network = self.fresh(self.dtype)
        if training.gradient_checkpointing:
            network.config.use_cache = False
            network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        before = dict(network.named_parameters())
        options = METHODS[spec.method].options.from_json(spec.options)
        setting = Setting(spec.task, tokenizer, spec.dataset.labels, steps, training.seed)
        checkpoint.seed_generators(training.seed, rank=0)
        model_type = str(network.config.model_type)
        model = equipment.equip(network, options, setting)
        self.shown["trained_modules"] = showing.trained_modules(model, model_type)
        return model, sizes(before, model)

    def _resume(self, loop: Loop) -> None:
        folder = self.peers.from_first(
            lambda: checkpoint.newest(loop.checkpoints, loop.spec, self.place.size, self.events)
        )
        if folder:
            checkpoint.restore(folder, loop.moving, loop.best_weights, self.place.rank)
            self.events.log(f"Resumed from step {loop.moving.progress.step:,}.")
        if self.peers.any(self.stop.is_set()):
            raise Stopped

    def _plan(self, loop: Loop, hardware: devices.Hardware) -> None:
        self.numbers |= {"total_steps": loop.total_steps, "step": loop.moving.progress.step}
        self.events.emit(
            "plan",
            total_steps=loop.total_steps,
            trainable_parameters=self.sizes.trainable,
            total_parameters=self.sizes.total,
            threads=hardware.threads,
            processes=self.place.size,
            device=hardware.name,
            memory_kind=loop.memory.kind,
            device_memory_total_bytes=loop.memory.total_bytes,
            resumed_step=loop.moving.progress.step,
            train_rows=len(loop.rows),
            eval_rows=len(loop.evaluation.samples) if loop.evaluation else 0,
            versions=artifact.versions(),
            **self.shown,
        )
        batch = loop.training.batch_size * loop.training.gradient_accumulation
        self.events.log(telling.start(self.sizes.trainable, self.sizes.total, loop.total_steps, batch, hardware.name))

    def _hand_over(self, loop: Loop) -> None:
        """Go back to the best weights, score exactly these once more, and export them."""
        progress, model = loop.moving.progress, loop.moving.model
        final, best = progress.last_evaluation, progress.best
        if loop.evaluation and best and best.step != progress.step:
            self.events.emit("phase", phase="evaluating", step=progress.step)
            checkpoint.load_weights(model, loop.best_weights)
            final = loop.evaluation.score(model, loop.alive())
        self.events.emit("phase", phase="saving", step=progress.step)
        trainable, total = self.sizes.trainable, self.sizes.total
        notes = verdict.notes(loop.spec, progress, final)
        step = best.step if best else progress.step
        eval_rows = len(loop.evaluation.samples) if loop.evaluation else 0
        results = Results(progress.first_evaluation, final, step, trainable, total, eval_rows, notes)
        plain = loop.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        written = self._written(plain, loop, results)
        self.events.emit("artifact", bytes=written)
        self.events.log(telling.exported(step, written))
        best_metric = {"name": best.name, "value": best.value, "step": best.step} if best else None
        taken = forward_pass.measured(plain, loop.spec, self.job.artifact, self.fresh, self.dtype, self.events)
        self.events.emit("result", final_metrics=final, best_metric=best_metric, notes=notes, forward_pass=taken)

    def _written(self, plain: Any, loop: Loop, results: Results) -> int:
        try:
            with storage.writing():
                return artifact.write(plain, loop.spec, self.job, results)
        except OSError as error:
            needed = sum(each.nbytes for each in plain.parameters() if each.requires_grad)
            raise storage.broken(error, self.job.path, "the delta artifact", needed) from error


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
