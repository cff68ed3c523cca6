"""What a trainer leaves is read as if it were hostile: links and pipes are no files, wherever on the way they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workers.handing_in import NotComplete, files_of, manifest_of
from workers.protocol import MANIFEST, JobFolder


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """A complete checkpoint of a job, and a secret of the worker beside the job."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "step-00000001").mkdir()
    (tmp_path / "secret" / "step-00000001" / MANIFEST).write_text('{"secret": true}')
    step = JobFolder(tmp_path / "jobs" / "1").checkpoints / "step-00000001"
    (step / "optimizer").mkdir(parents=True)
    (step / "optimizer" / "state.safetensors").write_bytes(b"state")
    (step / MANIFEST).write_text("{}")
    return step


def test_plain_files_are_read(step: Path) -> None:
    assert [file.name for file in files_of(step)] == ["manifest.json", "optimizer/state.safetensors"]
    assert manifest_of(step) == {}


def test_a_link_in_place_of_a_file_is_not_followed(step: Path, tmp_path: Path) -> None:
    (step / MANIFEST).unlink()
    (step / MANIFEST).symlink_to(tmp_path / "secret" / "step-00000001" / MANIFEST)
    assert [file.name for file in files_of(step)] == ["optimizer/state.safetensors"]
    with pytest.raises(NotComplete):
        manifest_of(step)


@pytest.mark.parametrize("levels", [1, 2], ids=["checkpoint", "checkpoints"])
def test_a_link_in_place_of_a_folder_on_the_way_is_not_followed(step: Path, tmp_path: Path, levels: int) -> None:
    swapped = step if levels == 1 else step.parent
    swapped.rename(tmp_path / "away")
    swapped.symlink_to(tmp_path / "secret" / ("step-00000001" if levels == 1 else ""))
    with pytest.raises(NotComplete):
        files_of(step)
    with pytest.raises(NotComplete):
        manifest_of(step)


def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(step: Path) -> None:
    (step / MANIFEST).unlink()
    os.mkfifo(step / MANIFEST)
    with pytest.raises(NotComplete):
        manifest_of(step)


def test_a_name_that_no_site_would_take_is_refused_with_a_sentence(step: Path) -> None:
    (step / "a\\b").write_bytes(b"x")
    with pytest.raises(NotComplete, match="not a plain relative path"):
        files_of(step)
