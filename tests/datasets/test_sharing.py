"""Equal rows of one team are stored once, and go with the last version that needs them; teams share nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage

from tests.conftest import Api, Cast, api_of
from tests.datasets.test_deciding import GOOD, checked
from tests.datasets.test_steps import stored_files
from webapp.datasets.models import DatasetVersion

FILE = f"text,label\n{GOOD}".encode()


def key_of(version: dict[str, Any]) -> str:
    return DatasetVersion.objects.get(pk=version["id"]).file_key


def readable(api: Api, version: dict[str, Any]) -> bool:
    return len(api("get", f"dataset-versions/{version['id']}/rows?limit=100").json()["items"]) == 40


def test_80_the_same_file_in_a_team_is_stored_once_and_stays_for_who_needs_it(
    cast: Cast, bob_api: Api, django_capture_on_commit_callbacks: Any
) -> None:
    alice_api = api_of(cast.alice, cast.team)
    before = len(stored_files())
    first, second = checked(bob_api, "a.csv", FILE), checked(alice_api, "b.csv", FILE)
    assert (first["state"], second["state"]) == ("ready", "ready")
    assert (key_of(first), first["sha256"]) == (key_of(second), second["sha256"])
    assert len(stored_files()) == before + 1
    for gone, left in ((first, second), (second, None)):
        with django_capture_on_commit_callbacks(execute=True):
            assert alice_api("delete", f"datasets/{gone['dataset']}").status_code == 204
        assert left is None or readable(bob_api, left)
    assert len(stored_files()) == before


def test_80_teams_share_nothing_and_nothing_tells(
    cast: Cast, bob_api: Api, charlie_api: Api, django_capture_on_commit_callbacks: Any
) -> None:
    ours, theirs = checked(bob_api, "a.csv", FILE), checked(charlie_api, "a.csv", FILE)
    apart = ("id", "dataset", "created_at")
    assert {name: ours[name] for name in ours if name not in apart} == {
        name: theirs[name] for name in theirs if name not in apart
    }
    assert key_of(ours) != key_of(theirs)
    with django_capture_on_commit_callbacks(execute=True):
        assert charlie_api("delete", f"datasets/{theirs['dataset']}").status_code == 204
    assert readable(bob_api, ours)


def test_rows_whose_file_is_gone_are_no_twin(bob_api: Api) -> None:
    first = checked(bob_api, "a.csv", FILE)
    default_storage.delete(key_of(first))
    second = checked(bob_api, "b.csv", FILE)
    assert key_of(second) != key_of(first)
    assert readable(bob_api, second)


def test_rows_that_are_not_what_was_stored_are_no_twin(bob_api: Api) -> None:
    """Whoever uploads a file again because its rows are damaged gets sound ones."""
    first = checked(bob_api, "a.csv", FILE)
    path = Path(default_storage.path(key_of(first)))
    path.write_bytes(b"x" * path.stat().st_size)
    second = checked(bob_api, "b.csv", FILE)
    third = checked(bob_api, "c.csv", FILE)
    assert key_of(second) != key_of(first)
    assert key_of(third) == key_of(second)
    assert readable(bob_api, third)
