"""A disk that is full, has no inodes, is read-only or fails: the last good checkpoint survives, and the end is true."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tests.faults.trainer.test_checkpoint_cut_short import GIVEN, assert_goes_on, at_the_second_checkpoint, undisturbed
from tests.training import forks
from tests.training.conftest import MakeJob, Run, Trainer
from workers.protocol import EXIT_FAILED, JobFolder
from workers.training import artifact, storage
from workers.training.completing import verified

__all__ = ["undisturbed"]
Undisturbed = tuple[JobFolder, Run]
pytestmark = pytest.mark.skipif(not forks.can_mount(), reason="this machine allows no mounts in a user namespace")


def keep_aside(job: JobFolder) -> Callable[[], None]:
    """What lies in a mount is gone with the process that has it."""

    def copy() -> None:
        shutil.copytree(job.checkpoints, job.path / "seen")

    return copy


def assert_the_first_survived(job: JobFolder, first: Run, train: Trainer, whole: Undisturbed) -> None:
    """And once the disk has room again, the training goes on from it."""
    assert [path.name for path in (job.path / "seen").iterdir()] == ["step-00000003"]
    assert verified(job.path / "seen" / "step-00000003") is not None
    shutil.copytree(job.path / "seen", job.checkpoints, dirs_exist_ok=True)
    second = train(job)
    assert second.of("plan")[0]["resumed_step"] == 3
    assert_goes_on(job, first, second, whole)


@pytest.mark.fault(25)
@pytest.mark.parametrize("size", ["240k", "320k"], ids=["in the weights", "in the optimizer's state"])
def test_a_full_disk_in_a_checkpoint(size: str, classify: MakeJob, train: Trainer, undisturbed: Undisturbed) -> None:
    job = classify(**GIVEN)
    mount = lambda: forks.mount_tmpfs(job.checkpoints, f"size={size}")  # noqa: E731
    code, first = forks.train(job, mount, keep_aside(job))
    (failed,) = first.of("failed")
    assert (code, failed["reason"]) == (EXIT_FAILED, "disk_full")
    detail = failed["detail"]
    assert 190_000 < detail["needed_bytes"] < 300_000
    assert 0 < detail["free_bytes"] < detail["needed_bytes"]
    assert "the checkpoint of step 6 needs" in failed["sentence"]
    assert "KiB are free" in failed["sentence"]
    assert_the_first_survived(job, first, train, undisturbed)


@pytest.mark.fault(28)
def test_no_inodes_left(classify: MakeJob, train: Trainer, undisturbed: Undisturbed) -> None:
    job = classify(**GIVEN)
    mount = lambda: forks.mount_tmpfs(job.checkpoints, "nr_inodes=9")  # noqa: E731
    code, first = forks.train(job, mount, keep_aside(job))
    (failed,) = first.of("failed")
    assert (code, failed["reason"]) == (EXIT_FAILED, "disk_full")
    assert "(inodes)" in failed["sentence"]
    assert failed["detail"]["free_files"] < failed["detail"]["needed_files"]
    assert_the_first_survived(job, first, train, undisturbed)


@pytest.mark.fault(28)
def test_a_disk_that_becomes_read_only(classify: MakeJob, train: Trainer, undisturbed: Undisturbed) -> None:
    def before() -> None:
        forks.mount_tmpfs(job.checkpoints, "size=10m")
        at_the_second_checkpoint(lambda: forks.make_read_only(job.checkpoints))()

    job = classify(**GIVEN)
    code, first = forks.train(job, before, keep_aside(job))
    (failed,) = first.of("failed")
    assert (code, failed["reason"]) == (EXIT_FAILED, "storage_unreachable")
    assert "read-only" in failed["sentence"]
    assert_the_first_survived(job, first, train, undisturbed)


@pytest.mark.fault(29)
@pytest.mark.parametrize("where", ["fsync", "write"])
def test_an_input_output_error_costs_one_checkpoint_and_a_warning(
    where: str, classify: MakeJob, undisturbed: Undisturbed
) -> None:
    job = classify(**GIVEN)
    code, run = forks.train(job, at_the_second_checkpoint(lambda: fail_once(where)))
    assert code == 0
    assert [event["step"] for event in run.of("checkpoint")] == [3, 9]
    assert "Could not write the checkpoint of step 6: Input/output error. The training goes on." in run.log
    assert_goes_on(job, run, run, undisturbed)


def fail_once(where: str) -> None:
    torch_save: Any = torch.save

    def fsync(descriptor: int) -> None:
        patched.stop()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def save(state: Any, file: Any) -> None:
        patched.stop()
        torch_save(state, Failing(file))

    patched = mock.patch.object(os, "fsync", fsync) if where == "fsync" else mock.patch.object(torch, "save", save)
    patched.start()


class Failing:
    """A file whose disk fails in the midst of a write."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, 50_000

    def write(self, content: bytes) -> int:
        self._left -= len(content)
        if self._left < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written: int = self._file.write(content)
        return written

    def flush(self) -> None:
        self._file.flush()


@pytest.mark.fault(25)
def test_a_full_disk_in_the_artifact(classify: MakeJob, train: Trainer) -> None:
    def before() -> None:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        mock.patch.object(artifact, "complete", side_effect=full).start()

    job = classify(max_steps=3)
    code, run = forks.train(job, before)
    (failed,) = run.of("failed")
    assert (code, failed["reason"]) == (EXIT_FAILED, "disk_full")
    assert "the delta artifact needs" in failed["sentence"]
    assert not job.artifact.exists()
    again = train(job)  # the last step's checkpoint is there: nothing is trained twice
    assert again.series("loss") == {}
    assert verified(job.artifact) is not None


def test_a_quota_and_a_size_limit_are_named_as_such(tmp_path: Path) -> None:
    for code in (errno.EDQUOT, errno.EFBIG):
        failure = storage.failure(OSError(code, os.strerror(code)), tmp_path, "the checkpoint", 1)
        assert failure is not None
        assert os.strerror(code) in failure.sentence
    assert storage.failure(OSError(errno.EIO, "broken"), tmp_path, "the checkpoint", 1) is None
