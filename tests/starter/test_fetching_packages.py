"""Starter packages fetched from an index on loopback, and refused where they are not the pinned file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.starter.servers import Pages, served
from workers.fetching import FetchProblem, fetch
from workers.package_index import IndexSettings


def source_archive() -> bytes:
    """An archive whose build would fail: it must never be built."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        setup = b"raise SystemExit('this was run')"
        entry = tarfile.TarInfo("Tiny_Data-1.0/setup.py")
        entry.size = len(setup)
        archive.addfile(entry, io.BytesIO(setup))
    return raw.getvalue()


ARCHIVE = source_archive()
NAME = "Tiny_Data-1.0.tar.gz"


def entry(distribution: str = "sdist", content: bytes = ARCHIVE, **more: Any) -> dict[str, Any]:
    pinned = {"sha256": hashlib.sha256(content).hexdigest(), "download_bytes": len(content)}
    return {"package": "tiny-data", "version": "1.0", "distribution": distribution, **pinned, **more}


def fetched(into: Path, entry: dict[str, Any]) -> list[str]:
    told: list[tuple[str, float | None]] = []
    fetch({"kind": "starter_dataset", "entry": entry}, into, lambda *said: told.append(said))
    assert told[-1][1] == 1.0
    return sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file())


def code(into: Path, entry: dict[str, Any]) -> str:
    with pytest.raises(FetchProblem) as caught:
        fetched(into, entry)
    assert caught.value.message
    assert caught.value.hint
    assert not [path for path in into.rglob("*") if path.is_file()]
    return caught.value.code


@pytest.fixture(autouse=True)
def pip_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pip is configured for on this machine plays no part here."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


JSON_INDEX = json.dumps({"files": [{"filename": NAME, "url": f"../../files/{NAME}", "hashes": {}}]}).encode()
HTML_INDEX = f'<a href="../../files/Tiny_Data-0.9.tar.gz">old</a> <a href="../../files/{NAME}#sha256=0">it</a>'.encode()


def index(kind: str) -> Pages:
    page, content_type = {
        "json": (JSON_INDEX, "application/vnd.pypi.simple.v1+json"),
        "html": (HTML_INDEX, "text/html"),
    }[kind]
    return {
        "/simple/tiny-data/": (200, {"Content-Type": content_type}, page),
        f"/files/{NAME}": (200, {}, ARCHIVE),
    }


@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_source_archive_is_fetched_as_a_plain_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with served(index(kind)) as address:
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        assert fetched(tmp_path, entry()) == [f"package/{NAME}"]


def test_an_index_with_a_password_gets_it_and_no_sentence_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    with served(index("html"), seen) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address.replace("//", "//alice:secret@") + "/simple")
        fetched(tmp_path, entry())
    assert seen[0][1]["authorization"] == "Basic " + base64.b64encode(b"alice:secret").decode()
    monkeypatch.setenv("PIP_INDEX_URL", "http://alice:secret@127.0.0.1:9/simple")
    with pytest.raises(FetchProblem) as caught:
        fetched(tmp_path / "again", entry())
    assert "secret" not in caught.value.message + caught.value.hint


def test_a_folder_on_this_machine_is_an_index_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / NAME).write_bytes(ARCHIVE)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert fetched(tmp_path / "into", entry()) == [f"package/{NAME}"]


def test_another_file_under_the_same_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(index("json")) as address:
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        assert code(tmp_path, entry(content=b"what the catalogue names")) == "starter.hash_differs"


def test_an_index_without_the_version_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(index("json")) as address:
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        assert code(tmp_path, entry(version="2.0")) == "starter.not_on_index"
        assert code(tmp_path, entry("wheel", version="2.0")) == "starter.not_on_index"


@pytest.mark.parametrize("distribution", ["sdist", "wheel"])
def test_an_index_out_of_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distribution: str) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert code(tmp_path, entry(distribution)) == "starter.index_unreachable"


def test_without_npm_an_npm_entry_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code(tmp_path / "into", entry("npm")) == "starter.npm_missing"


def wheel() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        archive.writestr("tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_data-1.0.dist-info/RECORD", "")
    return raw.getvalue()


def test_pip_fetches_a_wheel_which_is_then_held_against_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, name, content = tmp_path / "shelf", "tiny_data-1.0-py3-none-any.whl", wheel()
    shelf.mkdir()
    (shelf / name).write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert fetched(tmp_path / "good", entry("wheel", content)) == [f"package/{name}"]
    assert code(tmp_path / "bad", entry("wheel", b"another")) == "starter.hash_differs"


def test_the_environment_wins_over_files_as_in_pip() -> None:
    listing = (
        "global.index-url='https://one/simple'\n"
        "download.index-url='https://two/simple'\n"
        ":env:.index-url='https://three/simple'\n"
        "global.extra-index-url='https://four/simple https://five/simple'\n"
        "install.index-url='https://no/simple'\n"
        ":env:.cert='/certs.pem'\n"
    )
    settings = IndexSettings.from_listing(listing)
    assert settings.indexes == ("https://three/simple", "https://four/simple", "https://five/simple")
    assert settings.certificates == "/certs.pem"
    assert IndexSettings.from_listing("").indexes == ("https://pypi.org/simple",)
