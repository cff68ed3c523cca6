"""How long answers take with a delta, measured at the end of a real training and never at its expense."""

from __future__ import annotations

import pytest

from tests.training.conftest import MakeJob, Trainer
from workers.training import forward_pass

pytestmark = pytest.mark.slow


def test_a_training_ends_with_the_time_of_a_pass_alone_with_the_delta_and_merged(
    classify: MakeJob, train: Trainer
) -> None:
    taken = train(classify(method="lora", options={"rank": 4}, max_steps=2)).result["forward_pass"]
    assert set(taken) == {"base_seconds", "delta_seconds", "merged_seconds", "rows", "tokens"}
    assert (taken["rows"], taken["tokens"]) == (8, 24)
    assert all(0 < taken[name] < 5 for name in taken if name.endswith("_seconds"))


def test_an_adapter_is_timed_and_never_merged(classify: MakeJob, train: Trainer) -> None:
    taken = train(classify(method="houlsby", options={"bottleneck": 4}, max_steps=2)).result["forward_pass"]
    assert set(taken) == {"base_seconds", "delta_seconds", "rows", "tokens"}


def test_where_copies_would_not_fit_the_training_ends_without(
    classify: MakeJob, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_pass, "MEMORY_SHARE", 0.0)
    run = train(classify(method="lora", options={"rank": 4}, max_steps=2))
    assert (run.error, run.result["forward_pass"]) == (None, None)
    assert "would take too much of the memory" in run.log
