"""Text that is none, names that show as something else, and idempotency keys used for two requests."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.conftest import Api, Cast, api_of
from tests.pages.test_access import browser_of
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs.models import Job


@pytest.fixture
def wanted(base_model: BaseModel, version: DatasetVersion) -> dict[str, Any]:
    return {"base_model": base_model.pk, "dataset_version": version.pk, "method": "lora", "name": "mine"}


def test_nul_in_a_query_or_form_is_400_with_the_field(cast: Cast, bob_api: Api) -> None:
    answer = bob_api("get", "jobs?q=a%00b")
    assert answer.status_code == 400
    assert answer.json()["error"]["where"] == {"field": "q"}
    browser = browser_of(cast.bob)
    for page in (browser.get("/jobs/?q=%00"), browser.post("/jobs/new/", {"name": "a\0b"})):
        assert page.status_code == 400
        assert "NUL" in page.content.decode()


def test_a_job_name_keeps_no_control_and_no_direction_marks(bob_api: Api, wanted: dict[str, Any]) -> None:
    answer = bob_api("post", "jobs", wanted | {"name": " a\u202eb\n\x1b[31mc d "})
    assert answer.status_code == 201
    assert Job.objects.get().name == "a b [31mc d"


def test_a_key_used_for_another_request_or_person_is_422(cast: Cast, bob_api: Api, wanted: dict[str, Any]) -> None:
    key = {"Idempotency-Key": "k"}
    assert bob_api("post", "jobs", wanted, headers=key).status_code == 201
    assert bob_api("post", "jobs", wanted, headers=key).status_code == 201
    alice = api_of(cast.alice, cast.team)
    for refused in (
        bob_api("post", "jobs", wanted | {"name": "another"}, headers=key),
        alice("post", "jobs", wanted, headers=key),
        bob_api("post", "jobs", wanted, headers={"Idempotency-Key": "x" * 101}),
    ):
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "job.key"
    assert Job.objects.count() == 1


def test_the_key_of_an_upload_is_one_persons_and_short(cast: Cast, bob_api: Api) -> None:
    def upload(api: Api, key: str) -> Any:
        file = SimpleUploadedFile("reviews.jsonl", b'{"text": "good", "label": "pos"}\n')
        return api("post", "datasets", {"name": "reviews", "file": file}, form=True, headers={"Idempotency-Key": key})

    assert upload(bob_api, "k").status_code == 201
    for refused in (upload(api_of(cast.alice, cast.team), "k"), upload(bob_api, "x" * 101)):
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "dataset.key"


def test_the_key_of_a_base_model_is_one_persons_and_short(cast: Cast, bob_api: Api) -> None:
    body = {"hub_id": "owner/name", "revision": "a" * 40}
    assert bob_api("post", "base-models", body, headers={"Idempotency-Key": "k"}).status_code == 201
    alice = api_of(cast.alice, cast.team)
    for api, key in ((alice, "k"), (bob_api, "x" * 101)):
        refused = api("post", "base-models", body, headers={"Idempotency-Key": key})
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "basemodel.key"
