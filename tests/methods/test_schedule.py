"""The learning rate over a training, as the trainer follows it and a page draws it."""

from __future__ import annotations

import pytest

from workers.methods.hyperparameters import Training
from workers.methods.schedule import factor, warmup_steps


@pytest.mark.parametrize(("kind", "middle"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)])
def test_it_rises_to_the_peak_and_falls_but_never_to_nothing_before_the_last_step(kind: str, middle: float) -> None:
    training, steps = Training(scheduler=kind, warmup=0.1), 100
    rates = [factor(training, steps, done) for done in range(steps)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[warmup_steps(training, steps) - 1] == 1.0
    assert rates[55] == pytest.approx(middle, abs=0.01)
    assert rates[-1] > 0


def test_without_a_warm_up_the_first_step_has_the_whole_rate() -> None:
    assert factor(Training(warmup=0), 30, 0) == 1.0
