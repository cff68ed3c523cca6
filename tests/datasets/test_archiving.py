"""Putting datasets away: archived they stay for their jobs, deleted they are gone with their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.conftest import Api, Cast, api_of, make_job
from tests.pages.test_access import browser_of
from webapp.accounts.models import AuditEntry
from webapp.basemodels.models import BaseModel
from webapp.datasets import uploading
from webapp.datasets.models import Dataset, DatasetVersion, Upload
from webapp.jobs import token_reports
from webapp.storing import store


@pytest.fixture
def stored(version: DatasetVersion) -> DatasetVersion:
    """With its upload and rows in the storage."""
    version.upload_key, version.file_key = (store("1/uploads", [b"raw"]).key, store("1/versions", [b"{}\n"]).key)
    version.save()
    return version


def test_archived_it_is_in_no_list_and_no_form_and_comes_back(
    cast: Cast, bob_api: Api, version: DatasetVersion, base_model: BaseModel
) -> None:
    bob = browser_of(cast.bob)
    assert bob.post(f"/datasets/{version.dataset_id}/archive/").headers["Location"] == "/datasets/?archived=1"
    assert b"reviews" in bob.get("/datasets/?archived=1").content
    assert b">reviews<" not in bob.get("/datasets/").content
    assert b"1 archived" in bob.get("/datasets/").content
    assert b"reviews v1" not in bob.get("/jobs/new/").content
    assert bob_api("get", "datasets").json()["items"] == []
    assert [each["name"] for each in bob_api("get", "datasets?archived=true").json()["items"]] == ["reviews"]
    wanted = {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora"}
    refused = bob_api("post", "jobs", wanted)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "job.dataset_archived")
    assert b"This dataset is archived." in bob.get(version.get_absolute_url()).content
    assert bob.post(f"/datasets/{version.dataset_id}/bring-back/").headers["Location"] == "/datasets/"
    assert bob_api("post", "jobs", wanted).status_code == 201
    actions = list(AuditEntry.objects.filter(action__startswith="dataset.").values_list("action", flat=True))
    assert sorted(actions) == ["dataset.archive", "dataset.bring_back"]


@pytest.mark.django_db(transaction=True)
def test_deleted_it_is_gone_with_its_files(cast: Cast, stored: DatasetVersion) -> None:
    assert default_storage.exists(stored.file_key)
    alice = api_of(cast.alice, cast.team)
    assert alice("delete", f"datasets/{stored.dataset_id}").status_code == 204
    assert not Dataset.objects.exists()
    assert not default_storage.exists(stored.file_key)
    assert not default_storage.exists(stored.upload_key)
    assert Path(settings.MEDIA_ROOT).exists()


def test_used_by_a_job_it_is_not_deleted_and_says_so(cast: Cast, stored: DatasetVersion, base_model: BaseModel) -> None:
    make_job(cast, base_model, stored, name="its job")
    refused = api_of(cast.alice, cast.team)("delete", f"datasets/{stored.dataset_id}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "dataset.used")
    assert "Archive it" in refused.json()["error"]["hint"]
    page = browser_of(cast.alice).post(f"/datasets/{stored.dataset_id}/delete/")
    assert page.status_code == 409
    assert b"Jobs or studies use a version of it" in page.content
    assert default_storage.exists(stored.file_key)
    assert b"its job" in browser_of(cast.alice).get(stored.get_absolute_url()).content


def test_a_version_that_is_being_checked_is_not_deleted(cast: Cast, stored: DatasetVersion) -> None:
    DatasetVersion.objects.update(state="checking")
    assert api_of(cast.alice, cast.team)("delete", f"datasets/{stored.dataset_id}").status_code == 409


def test_who_may_not(cast: Cast, bob_api: Api, charlie_api: Api, version: DatasetVersion) -> None:
    path = f"datasets/{version.dataset_id}"
    assert bob_api("delete", path).status_code == 403, "a member archives, a maintainer deletes"
    assert api_of(cast.vera, cast.team)("post", f"{path}/archive").status_code == 403
    for stranger in (charlie_api("post", f"{path}/archive"), charlie_api("delete", path)):
        assert stranger.status_code == 404
    assert browser_of(cast.charlie).post(f"/{path}/archive/").status_code == 404
    assert browser_of(cast.alice).get(f"/{path}/archive/").status_code == 405
    assert b"Archive" not in browser_of(cast.vera).get(version.get_absolute_url()).content


def test_of_every_teams_dataset_only_own_jobs_are_shown(
    cast: Cast, version: DatasetVersion, base_model: BaseModel
) -> None:
    Dataset.objects.update(team=None)
    make_job(cast, base_model, version, name="ours")
    make_job(cast, base_model, version, name="theirs", team=cast.other_team)
    page = browser_of(cast.bob).get(version.get_absolute_url()).content
    assert b"ours" in page
    assert b"theirs" not in page
    assert browser_of(cast.bob).post(f"/datasets/{version.dataset_id}/archive/").status_code == 403


def test_archived_it_takes_no_version_and_no_question(
    cast: Cast, bob_api: Api, version: DatasetVersion, base_model: BaseModel
) -> None:
    bob_api("post", f"datasets/{version.dataset_id}/archive")
    bob = browser_of(cast.bob)
    page = bob.get(version.get_absolute_url()).content
    for offered in (b"Start a job", b"New version", b"loss mask"):
        assert offered not in page
    asked = bob_api("post", f"dataset-versions/{version.pk}/tokens", {"base_model": base_model.pk})
    assert (asked.status_code, asked.json()["problems"][0]["code"]) == (422, "tokens.archived")
    announced = {"bytes": 10, "file_name": "a.jsonl", "dataset": version.dataset_id}
    refused = bob_api("post", "uploads", announced)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "dataset.archived")
    assert bob_api("post", f"dataset-versions/{version.pk}/choices", {}).status_code == 409
    assert b'name="archived"' in bob.get("/datasets/?archived=1").content


def test_what_every_team_shares_is_out_of_a_tokens_reach(cast: Cast, version: DatasetVersion) -> None:
    Dataset.objects.update(team=None)
    root = api_of(cast.root, cast.team)
    path = f"datasets/{version.dataset_id}"
    for answer in (root("post", f"{path}/archive"), root("post", f"{path}/bring-back"), root("delete", path)):
        assert answer.status_code == 403
    file = {"file": SimpleUploadedFile("a.csv", b"text,label\na,b\n")}
    announced = {"bytes": 10, "file_name": "a.csv", "dataset": version.dataset_id}
    for answer in (root("post", f"{path}/versions", file, form=True), root("post", "uploads", announced)):
        assert (answer.status_code, "every team's" in answer.json()["error"]["message"]) == (403, True)
    assert (DatasetVersion.objects.count(), Upload.objects.count()) == (1, 0)
    assert browser_of(cast.root).post(f"/{path}/archive/").status_code == 302
    assert Dataset.objects.get().archived_at is not None


def test_a_draft_of_every_team_is_out_of_a_tokens_reach(cast: Cast, version: DatasetVersion) -> None:
    Dataset.objects.update(team=None)
    DatasetVersion.objects.update(step="save")
    root, path = api_of(cast.root, cast.team), f"dataset-versions/{version.pk}"
    for act in ("choices", "look", "save"):
        assert root("post", f"{path}/{act}", {}).status_code == 403, act
    sent = root.client.post(
        f"/api/v1/{path}/second-file",
        {"file": SimpleUploadedFile("held.csv", b"a")},
        headers={"Authorization": f"Bearer {root.token}"},
    )
    assert sent.status_code == 403
    assert root("delete", path).status_code == 403
    assert root("get", path).json()["step"] == "save"
    assert browser_of(cast.root).get(f"{version.get_absolute_url()}save/").status_code == 200


@pytest.mark.parametrize("path", ["upload/?dataset={}", "{}/v1/tokens/"])
def test_deleted_in_between_it_is_a_missing_page(
    cast: Cast, version: DatasetVersion, base_model: BaseModel, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """As if somebody deleted it after the page had found it."""

    def deleted(*_: object) -> None:
        Dataset.objects.all().delete()

    monkeypatch.setattr(uploading, "require_space", deleted)
    monkeypatch.setattr(token_reports, "require", deleted)
    file = ContentFile(b'{"text": "a", "label": "b"}', "a.jsonl")
    sent = {"base_model": base_model.pk, "max_length": 12, "file": file, "name": "x"}
    assert browser_of(cast.bob).post(f"/datasets/{path.format(version.dataset_id)}", sent).status_code == 404
