"""What a person should be told about how a training ended, in sentences."""

from __future__ import annotations

from workers.protocol import JobSpec
from workers.training.progress import Progress


def notes(spec: JobSpec, progress: Progress, final: dict[str, float]) -> list[str]:
    """Empty where all went as one would wish and the last step is the best."""
    if not final:
        return ["The dataset version has no eval rows; the delta is that of the last step, and nobody knows how good."]
    said = [_where_from(progress), _early(spec, progress), _majority(final), _no_better(spec, progress, final)]
    return [sentence for sentence in said if sentence]


def _where_from(progress: Progress) -> str:
    best = progress.best
    if best is None or best.step == progress.step:
        return ""
    name = best.name.removeprefix("eval_")
    return f"The delta is that of step {best.step:,}, the best by {name}; training went on to step {progress.step:,}."


def _early(spec: JobSpec, progress: Progress) -> str:
    if not progress.stopped_early:
        return ""
    patience = spec.training["early_stopping_patience"]
    return f"Training stopped early, at step {progress.step:,}: {patience} evaluations in a row were no better."


def _majority(final: dict[str, float]) -> str:
    share = final.get("eval_majority_share")
    if share is None or (final["eval_accuracy"] > share and final["eval_predicted_classes"] > 1):
        return ""
    return (
        f"The model ends at the majority class: accuracy {final['eval_accuracy']:.2f}, and the commonest label alone "
        f"is {share:.2f} of the eval rows. Try three times the learning rate, more epochs or a higher rank."
    )


def _no_better(spec: JobSpec, progress: Progress, final: dict[str, float]) -> str:
    before = progress.first_evaluation.get("eval_loss")
    if spec.task != "causal-lm" or before is None or final["eval_loss"] < before:
        return ""
    return (
        f"The evaluation loss is no better than before training ({before:.3f}, now {final['eval_loss']:.3f}). "
        "Try another learning rate or more rows."
    )
