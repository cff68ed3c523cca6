"""What a trainer leaves is read as if it were hostile: links and pipes are no files, wherever on the way they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.client import Claimed, SiteClient, SiteRefused, never
from workers.handing_in import NotComplete, files_of, hand_in, manifest_of
from workers.protocol import ARRIVED_DAMAGED, MANIFEST, FileRef, JobFolder


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


class Flipping(Claimed):
    """A way on which a byte of the first file is turned round, so that the site refuses what arrives."""

    def __init__(self, code: str) -> None:
        super().__init__(SiteClient("http://127.0.0.1:9"), "attempts", 1, "token")
        self.code, self.sent = code, list[str]()

    def upload(self, file: FileRef, chunks: Iterator[bytes]) -> None:
        self.sent.append(file.name)
        if len(self.sent) == 1:
            raise SiteRefused(422, self.code, "Not the announced sha256.", "")


@pytest.mark.nemesis(14)
def test_a_file_damaged_on_its_way_is_sent_again(step: Path) -> None:
    way = Flipping(ARRIVED_DAMAGED)
    hand_in(way, step, never, 30)
    assert way.sent == [MANIFEST, MANIFEST, "optimizer/state.safetensors"]


def test_a_file_refused_for_another_reason_is_not(step: Path) -> None:
    with pytest.raises(SiteRefused):
        hand_in(Flipping("too_large"), step, never, 30)
