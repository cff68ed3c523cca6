"""Input files by their sha256: fetched once, checked, bounded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workers.reference_site import ref
from workers.cache import Cache, DiskFull
from workers.client import SiteUnreachable
from workers.handing_in import files_of
from workers.protocol import FileRef


def giving(content: bytes) -> Callable[[FileRef, Path], None]:
    def give(file: FileRef, path: Path) -> None:
        path.write_bytes(content)

    return give


def test_the_least_used_file_goes_when_room_is_short(tmp_path: Path) -> None:
    cache, job = Cache(tmp_path / "cache", limit_bytes=250), tmp_path / "job"
    files = [ref(f"{number}.bin", bytes([number]) * 100) for number in range(3)]
    for number, file in enumerate(files[:2]):
        cache.link(file, tmp_path / "old", giving(bytes([number]) * 100))
        os.utime(tmp_path / "cache" / file.sha256, (number, number))
        (tmp_path / "old" / file.name).unlink()
    cache.link(files[2], job, giving(b"\x02" * 100))
    assert [cache.has(file) for file in files] == [False, True, True]


def test_a_file_in_use_stays_whatever_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit_bytes=100)
    for number in range(3):
        cache.link(ref(f"{number}.bin", bytes([number]) * 100), tmp_path / "job", giving(bytes([number]) * 100))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_broken_download_leaves_nothing(tmp_path: Path) -> None:
    def breaks(file: FileRef, path: Path) -> None:
        path.write_bytes(b"half")
        raise SiteUnreachable("broke off")

    cache = Cache(tmp_path / "cache")
    with pytest.raises(SiteUnreachable):
        cache.link(ref("a", b"whole"), tmp_path / "job", breaks)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="bytes free"):
        Cache(tmp_path / "cache").link(FileRef("huge", 10**18, "0" * 64), tmp_path / "job", giving(b""))


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "", "a\\b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain relative path"):
        Cache(tmp_path / "cache").link(ref(name, b"x"), tmp_path / "job", giving(b"x"))


def test_links_and_pipes_are_never_handed_in(tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_bytes(b"{}")
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe.json")
    assert files_of(tmp_path) == [ref("plain.json", b"{}")]
