"""Fills in, at launch, everything a person left out of a job; afterwards nothing is defaulted any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from types import MappingProxyType
from typing import Any

from workers.methods.hyperparameters import SHORTEST, Training
from workers.methods.method import Method
from workers.methods.options import Options, OptionsError
from workers.methods.shape import Shape
from workers.protocol import Task

START_VALUES: dict[Task, dict[str, Any]] = {
    "text-classification": {"epochs": 3.0, "batch_size": 16, "max_length": 128},
    "causal-lm": {"epochs": 3.0, "batch_size": 4, "max_length": 512},
    "seq2seq": {"epochs": 3.0, "batch_size": 8, "max_length": 256},
}
"""Start values of the training that depend on the task."""

NOTHING: Mapping[str, Any] = MappingProxyType({})
MANY_ROWS = 5_000
"""From so many rows on, one epoch is the start value: the next ones rarely pay for their time."""
EVALUATIONS_PER_JOB = 10
CHECKPOINTS_PER_JOB = 10


def start_values(method: Method, task: Task, shape: Shape, train_rows: int) -> dict[str, Any]:
    """What a form shows before anything is typed: every field of Training, resolved."""
    return resolve(method, {}, {}, shape, task, train_rows, eval_rows=1)[1]


def resolve(
    method: Method,
    options: dict[str, Any],
    training: dict[str, Any],
    shape: Shape,
    task: Task,
    train_rows: int,
    eval_rows: int,
    start: Mapping[str, Any] = NOTHING,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Complete JSON of the method's options and of the training, checked against the base model.

    `start`: start values of the dataset, before those of the task.

    Raises OptionsError, whose field is one of the options', of Training's, or `method` or `dataset_version`.
    """
    _check_pairing(method, shape, task)
    if train_rows < 1:
        raise OptionsError("dataset_version", "It has no rows to train on.", "Choose a version with training rows.")
    chosen = method.options.from_json(options)
    method.check(shape, chosen)
    filled = _filled(method, chosen, training, shape, {**START_VALUES[task], **start}, task, train_rows, eval_rows)
    _check_training(filled, shape, eval_rows, method.positions_taken(shape, chosen))
    _check_quantised(method, filled)
    if method.check_training:
        method.check_training(shape, chosen, filled, filled.steps(train_rows))
    return _as_json(chosen), asdict(filled)


def _check_pairing(method: Method, shape: Shape, task: Task) -> None:
    if why := method.refusal(shape, task):
        raise OptionsError("method", why, "Choose another method, or a base model and dataset that go with it.")


def _filled(
    method: Method,
    options: Options,
    training: dict[str, Any],
    shape: Shape,
    start_values: Mapping[str, Any],
    task: Task,
    train_rows: int,
    eval_rows: int,
) -> Training:
    given = {name: value for name, value in training.items() if value is not None or name not in _field_names()}
    start = {**start_values, "quantize": method.quantize}
    if train_rows >= MANY_ROWS:
        start["epochs"] = 1.0
    if shape.positions:
        room = shape.positions - method.positions_taken(shape, options)
        start["max_length"] = max(SHORTEST, min(start["max_length"], room))
    wished: Training = Training.from_json({**start, **given})
    steps = wished.steps(train_rows)
    return replace(
        wished,
        learning_rate=wished.learning_rate or method.learning_rate(shape, task, steps, options),
        eval_every=wished.eval_every or _spread(steps, _evaluations(wished, steps, eval_rows)),
        save_every=wished.save_every or _spread(steps, CHECKPOINTS_PER_JOB),
    )


def _evaluations(training: Training, steps: int, eval_rows: int) -> int:
    """About ten, but fewer in short trainings: they shall not look at more than twice the rows they train on."""
    trained_rows = steps * training.batch_size * training.gradient_accumulation
    return min(EVALUATIONS_PER_JOB, max(2, 2 * trained_rows // max(1, eval_rows)))


def _spread(steps: int, times: int) -> int:
    """Steps between things that happen so many times in a job."""
    return max(1, -(-steps // times))


def _field_names() -> set[str]:
    return {field.name for field in fields(Training)}


def _check_training(training: Training, shape: Shape, eval_rows: int, positions_taken: int) -> None:
    length = training.max_length or 0
    if positions_taken and shape.positions and length + positions_taken > shape.positions:
        room = shape.positions - positions_taken
        raise OptionsError(
            "max_length",
            f"`max_length` is {length:,}, and the delta takes {positions_taken:,} of the {shape.positions:,} places "
            "that this base model reads.",
            f"Use {room:,} or less, or a shorter prompt.",
        )
    if shape.positions and length > shape.positions:
        raise OptionsError(
            "max_length",
            f"`max_length` is {length:,}, but this base model reads at most {shape.positions:,} tokens.",
            f"Use {shape.positions:,} or less.",
        )
    if training.early_stopping_patience and not eval_rows:
        raise OptionsError(
            "early_stopping_patience",
            "Early stopping needs evaluations, and this dataset version has no eval rows.",
            "Leave it out, or choose a version with an eval split.",
        )


def _check_quantised(method: Method, training: Training) -> None:
    if training.quantize == method.quantize:
        return
    if method.quantize != "none":
        message = f"{method.title} keeps the base model in {method.quantize}, not in {training.quantize}."
        raise OptionsError("quantize", message, f"Leave `quantize` at {method.quantize}.")
    raise OptionsError(
        "quantize",
        f"{method.title} does not train beside a base model kept in {training.quantize}.",
        "Leave `quantize` at none, or choose the method qlora, which keeps it in nf4.",
    )


def _as_json(options: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}
