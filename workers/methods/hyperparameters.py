"""Hyperparameters of the training loop that are the same for every method: epochs, batch, schedule, seed."""

from __future__ import annotations

from dataclasses import dataclass

from workers.methods.options import Options, OptionsError, option

SHORTEST = 8
"""Tokens that a row must be allowed to have."""

CUT, LEAVE_OUT = "cut", "leave out"
"""What a training does with a row that is longer than its longest length."""


@dataclass(frozen=True)
class Training(Options):
    """How long and how a job trains. None means: decided at launch from the method, task and base model."""

    epochs: float = option(
        3.0,
        "How often the training rows are seen; from 5,000 rows on, once to start with.",
        minimum=0.01,
        maximum=1000,
    )
    max_steps: int | None = option(
        None, "Stop after this many optimizer steps, whatever the epochs say.", minimum=1, maximum=10_000_000
    )
    learning_rate: float | None = option(
        None, "Peak learning rate; left out, the method's own for this base model.", minimum=1e-8, maximum=10
    )
    batch_size: int = option(16, "Rows in one forward pass.", minimum=1, maximum=4096)
    gradient_accumulation: int = option(
        1,
        "Forward passes per optimizer step; the batch grows, the memory does not.",
        minimum=1,
        maximum=4096,
        advanced=True,
    )
    max_length: int | None = option(
        None, "Longest row in tokens; longer ones are cut and counted.", minimum=SHORTEST, maximum=131_072
    )
    long_rows: str = option(
        CUT, "Whether longer rows are cut, or left out and counted.", choices=(CUT, LEAVE_OUT), advanced=True
    )
    precision: str = option(
        "auto",
        "Number format: auto takes bf16 on a GPU that has it and fp32 on a CPU.",
        choices=("auto", "fp32", "bf16", "fp16"),
        advanced=True,
    )
    quantize: str = option(
        "none", "Keep the frozen base in fewer bits.", choices=("none", "int8", "nf4"), advanced=True
    )
    gradient_checkpointing: bool = option(
        False, "Recompute activations: far less memory, about half as much time again.", advanced=True
    )
    scheduler: str = option(
        "linear",
        "How the learning rate falls after the warm-up.",
        choices=("linear", "cosine", "constant"),
        advanced=True,
    )
    warmup: float = option(
        0.06, "Share of the steps in which the learning rate rises.", minimum=0, maximum=1, advanced=True
    )
    weight_decay: float = option(
        0.0, "AdamW weight decay; never applied to biases and norms.", minimum=0, maximum=1, advanced=True
    )
    eval_every: int | None = option(
        None,
        "Optimizer steps between evaluations; left out, about ten in a job, fewer in a short one.",
        minimum=1,
        maximum=10_000_000,
        advanced=True,
    )
    save_every: int | None = option(
        None,
        "Optimizer steps between checkpoints; left out, about ten in a job.",
        minimum=1,
        maximum=10_000_000,
        advanced=True,
    )
    sample_prompts: int = option(
        3,
        "Held-out prompts that a text model answers at every evaluation; three take about as long as a step "
        "or two on a CPU; 0 asks none.",
        minimum=0,
        maximum=8,
        advanced=True,
    )
    early_stopping_patience: int | None = option(
        None, "Stop after so many evaluations without a better one.", minimum=1, maximum=1000, advanced=True
    )
    seed: int = option(17, "Seed of everything random in the job.", minimum=0, maximum=2**31 - 1, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quantize != "none" and self.precision == "fp16":
            raise OptionsError("precision", "A quantised base does not train in fp16.", "Choose bf16 or fp32.")

    def steps(self, train_rows: int) -> int:
        """Optimizer steps of the whole training: full epochs rounded up, bounded by `max_steps`."""
        rows_per_step = self.batch_size * self.gradient_accumulation
        by_epochs = max(1, round(self.epochs * -(-train_rows // rows_per_step)))
        return min(by_epochs, self.max_steps) if self.max_steps else by_epochs
