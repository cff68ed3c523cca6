"""Base models: what is taken in, what is refused and why, and who may take it away."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Api, Cast, api_of
from webapp.basemodels.models import BaseModel
from webapp.jobs.models import Inspection


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """A folder below one that is open for base models."""
    settings.MODEL_FOLDERS = [tmp_path]
    made = tmp_path / "tiny"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


@pytest.fixture
def root_api(cast: Cast) -> Api:
    return api_of(cast.root, cast.team)


def test_a_folder_is_taken_and_a_worker_is_asked_about_it(root_api: Api, folder: Path) -> None:
    answer = root_api("post", "base-models", {"folder": str(folder)})
    assert answer.status_code == 201
    assert answer.json()["state"] == "checking"
    inspection = Inspection.objects.get()
    assert inspection.question == {"kind": "base_model_shape"}
    assert [file["name"] for file in inspection.files] == ["config.json"]


def test_pickled_weights_are_refused_with_the_way_out(root_api: Api, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    answer = root_api("post", "base-models", {"folder": str(folder)})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "basemodel.pickle_weights"
    assert "save_pretrained" in answer.json()["error"]["hint"]
    assert not BaseModel.objects.exists()


@pytest.mark.parametrize("path", ["/etc", "../..", "", "/proc/self", "tiny/../../.."])
def test_other_folders_are_refused(root_api: Api, folder: Path, path: str) -> None:
    assert root_api("post", "base-models", {"folder": path or str(folder.parent.parent)}).status_code == 422
    assert not BaseModel.objects.exists()


def test_only_a_site_admin_registers_folders(bob_api: Api, folder: Path) -> None:
    assert bob_api("post", "base-models", {"folder": str(folder)}).status_code == 403


@pytest.mark.parametrize(
    ("hub_id", "revision", "field"),
    [
        ("https://hub.example/x", "main", "hub_id"),
        ("../../etc", "main", "hub_id"),
        ("-x", "main", "hub_id"),
        ("", "main", "hub_id"),
        ("owner/name", "", "revision"),
        ("owner/name", "a b", "revision"),
        ("owner/name", "../x", "revision"),
    ],
)
def test_a_hub_id_is_plain_and_pinned(bob_api: Api, hub_id: str, revision: str, field: str) -> None:
    answer = bob_api("post", "base-models", {"hub_id": hub_id, "revision": revision})
    assert answer.status_code == 422
    assert answer.json()["error"]["where"]["field"] == field


def test_a_hub_model_waits_for_a_worker(bob_api: Api) -> None:
    answer = bob_api("post", "base-models", {"hub_id": "owner/name", "revision": "v1"})
    assert answer.status_code == 201
    assert Inspection.objects.get().question["kind"] == "hub_base_model"


def test_a_registration_with_a_key_sent_again_makes_one_base_model(
    bob_api: Api, charlie_api: Api, root_api: Api, folder: Path
) -> None:
    for api, body in ((bob_api, {"hub_id": "owner/name", "revision": "v1"}), (root_api, {"folder": str(folder)})):
        answers = [api("post", "base-models", body, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json()["id"] == answers[1].json()["id"]
    assert BaseModel.objects.count() == Inspection.objects.count() == 2
    body = {"hub_id": "owner/name", "revision": "v1"}
    assert charlie_api("post", "base-models", body, headers={"Idempotency-Key": "k1"}).json()["team"] != "weather"
    assert BaseModel.objects.count() == 3, "another team's key is another key"


def test_the_folder_comes_back_as_a_zip_and_not_to_strangers(
    cast: Cast, root_api: Api, charlie_api: Api, folder: Path
) -> None:
    model_id = root_api("post", "base-models", {"folder": str(folder)}).json()["id"]
    answer = root_api("get", f"base-models/{model_id}/download")
    made = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    assert made.read("model.safetensors") == b"weights"
    BaseModel.objects.update(team=cast.team)
    assert charlie_api("get", f"base-models/{model_id}/download").status_code == 404
