"""A training that dies while it writes a checkpoint, or just after, goes on from what is whole."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.training import forks, toys
from tests.training.conftest import MakeJob, Run, Trainer
from tests.training.test_checkpoints import assert_same, final_weights, numbers
from workers.protocol import JobFolder
from workers.training import checkpoint

DIED = 7
GIVEN: dict[str, Any] = {"max_steps": 9, "epochs": 5, "save_every": 3, "eval_every": 4, "options": {"dropout": 0.1}}
BYTES = (1, 1000, 20_000, 40_000, 60_000, 70_000, 90_000, 110_000, 125_000)
ACTIONS = (*range(0, 18, 2), 19, 22)
"""Files opened, made, renamed and the like while one checkpoint is written."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> tuple[JobFolder, Run]:
    folder = tmp_path_factory.mktemp("undisturbed")
    job = toys.job(folder / "job", encoder, toys.opinions(160), **GIVEN)
    return job, Trainer(folder)(job)


def at_the_second_checkpoint(act: Callable[[], None]) -> Callable[[], None]:
    """In the child: `act` once the second checkpoint begins."""

    def before() -> None:
        whole_save, times = checkpoint.save, 0

        def save(*given: Any) -> Path:
            nonlocal times
            times += 1
            if times == 2:
                act()
            return whole_save(*given)

        mock.patch.object(checkpoint, "save", save).start()

    return before


def killed_at_byte(place: int) -> None:
    """The kernel kills the process as soon as a file grows beyond so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (place, place))


def gone_at_action(number: int) -> None:
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in {"open", "os.mkdir", "os.chmod", "os.rename", "os.link", "os.remove"} and any(
            "checkpoints" in str(each) for each in arguments[:2]
        ):
            left -= 1
            if left < 0:
                os._exit(DIED)

    sys.addaudithook(hook)


def assert_goes_on(job: JobFolder, first: Run, second: Run, undisturbed: tuple[JobFolder, Run]) -> None:
    """From a whole checkpoint, to the numbers and weights of a training that nothing happened to."""
    whole_job, whole = undisturbed
    assert second.error is None
    assert numbers(first, second) == numbers(whole)
    assert_same(final_weights(job, "lora"), final_weights(whole_job, "lora"))
    assert list(job.checkpoints.glob(".*")) == []


@pytest.mark.fault(3)
@pytest.mark.parametrize("place", BYTES)
def test_killed_at_a_byte_of_a_checkpoint(
    place: int, classify: MakeJob, train: Trainer, undisturbed: tuple[JobFolder, Run]
) -> None:
    job = classify(**GIVEN)
    code, first = forks.train(job, at_the_second_checkpoint(lambda: killed_at_byte(place)))
    assert code == -signal.SIGXFSZ
    torn = list(job.checkpoints.glob(".*.partial"))
    assert len(torn) == 1
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 3
    assert_goes_on(job, first, second, undisturbed)


@pytest.mark.fault(3)
@pytest.mark.parametrize("number", ACTIONS)
def test_gone_at_an_action_on_a_checkpoint(
    number: int, classify: MakeJob, train: Trainer, undisturbed: tuple[JobFolder, Run]
) -> None:
    job = classify(**GIVEN)
    code, first = forks.train(job, at_the_second_checkpoint(lambda: gone_at_action(number)))
    assert code == DIED
    named = sorted(path.name for path in job.checkpoints.glob("step-*"))
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == int(named[-1].removeprefix("step-"))
    assert_goes_on(job, first, second, undisturbed)


@pytest.mark.fault(4)
def test_killed_between_the_rename_and_the_report(
    classify: MakeJob, train: Trainer, undisturbed: tuple[JobFolder, Run]
) -> None:
    def before() -> None:
        whole_save = checkpoint.save

        def save(*given: Any) -> Path:
            folder = whole_save(*given)
            if folder.name.endswith("6"):
                os.kill(os.getpid(), signal.SIGKILL)
            return folder

        mock.patch.object(checkpoint, "save", save).start()

    job = classify(**GIVEN)
    code, first = forks.train(job, before)
    assert code == -signal.SIGKILL
    assert [event["step"] for event in first.of("checkpoint")] == [3]
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 6
    assert [event["step"] for event in second.of("checkpoint")] == [9]  # not written, and not said, a second time
    assert_goes_on(job, first, second, undisturbed)
