"""The lines of a job's log that say how its training goes, for who reads along."""

from __future__ import annotations

from workers.training.progress import Progress

SHARES = {"eval_accuracy": "accuracy", "eval_f1": "F1"}
MEBIBYTE = 1024**2


def start(trainable: int, total: int, steps: int, batch_rows: int, device: str) -> str:
    share = 100 * trainable / total
    return (
        f"Training {trainable:,} of {total:,} parameters ({share:.2g} %) "
        f"for {steps:,} steps of {batch_rows:,} rows on {device}."
    )


def evaluation(progress: Progress) -> str:
    """Of the evaluation that `progress` has just judged."""
    metrics = progress.last_evaluation
    said = [f"eval loss {metrics['eval_loss']:.4g}"]
    said += [f"{word} {100 * metrics[name]:.1f} %" for name, word in SHARES.items() if name in metrics]
    best = progress.best is not None and progress.best.step == progress.step
    before = " before training" if progress.step == 0 else ""
    return f"Step {progress.step:,}: {', '.join(said)}{before}{', the best so far' if best else ''}."


def exported(step: int, written_bytes: int) -> str:
    return f"Exported the delta of step {step:,}: {written_bytes / MEBIBYTE:.3g} MiB."
