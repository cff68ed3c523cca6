"""The same for programs: a token reaches its team's notices, and settings only where one team is all there is."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Api, Cast, api_of
from tests.notices.conftest import SECRET, choose
from tests.notices.endpoints import endpoint
from webapp.accounts.models import Membership
from webapp.jobs.models import Job
from webapp.notices.models import Notice, NoticeChoice

End = Callable[[], Job]


def test_notices_are_listed_and_read(cast: Cast, succeed: End, bob_api: Api) -> None:
    job = succeed()
    items = bob_api("get", "notices").json()["items"]
    assert [(each["kind"], each["job"], each["read_at"]) for each in items] == [("succeeded", job.pk, None)]
    address = f"notices/{items[0]['id']}/read"
    first = bob_api("post", address).json()["read_at"]
    assert first
    assert bob_api("post", address).json()["read_at"] == first
    assert bob_api("get", "notices?unread=true").json()["items"] == []
    assert bob_api("post", "notices/read").json() == {"read": 0}


def test_to_a_stranger_they_do_not_exist(cast: Cast, succeed: End, charlie_api: Api, client: Any) -> None:
    succeed()
    notice = Notice.objects.get()
    assert charlie_api("get", "notices").json()["items"] == []
    assert charlie_api("post", f"notices/{notice.pk}/read").status_code == 404
    assert charlie_api("post", "notices/read").json() == {"read": 0}
    assert client.get("/api/v1/notices").status_code == 401
    assert client.post(f"/api/v1/notices/{notice.pk}/read").status_code == 401


def test_a_token_of_another_team_of_ones_own_reaches_none_of_this_teams(cast: Cast, succeed: End) -> None:
    succeed()
    Membership.objects.create(user=cast.bob, team=cast.other_team)
    other = api_of(cast.bob, cast.other_team)
    assert other("get", "notices").json()["items"] == []
    assert other("post", f"notices/{Notice.objects.get().pk}/read").status_code == 404


def test_settings_are_changed_field_by_field(cast: Cast, bob_api: Api) -> None:
    answer = bob_api("patch", "notices/settings", {"failed": False, "teams": ["weather"]}).json()
    assert (answer["failed"], answer["succeeded"], answer["teams"]) == (False, True, ["weather"])
    assert bob_api("get", "notices/settings").json() == answer
    assert bob_api("patch", "notices/settings", {"teams": []}).json()["teams"] == []


def test_the_secret_comes_once(cast: Cast, bob_api: Api) -> None:
    answer = bob_api("patch", "notices/settings", {"webhook_url": "https://hooks.example.org/x"}).json()
    assert answer["webhook_secret"].startswith("delta_h_")
    later = bob_api("get", "notices/settings")
    assert "webhook_secret" not in later.json()
    assert later.json()["webhook_has_secret"] is True
    assert answer["webhook_secret"] not in later.content.decode()
    fresh = bob_api("post", "notices/settings/secret").json()["webhook_secret"]
    assert fresh != answer["webhook_secret"]


def test_a_token_of_one_team_cannot_send_what_another_says_to_an_address_of_its_choice(
    cast: Cast, bob_api: Api
) -> None:
    Membership.objects.create(user=cast.bob, team=cast.other_team)
    for method, path, body in (
        ("patch", "notices/settings", {"webhook_url": "https://hooks.example.org/x"}),
        ("post", "notices/settings/secret", None),
        ("post", "notices/settings/test", None),
    ):
        answer = bob_api(method, path, body)
        assert answer.status_code == 403, path
        assert "reaches one team" in answer.json()["error"]["message"]
    assert not NoticeChoice.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"webhook_url": "http://127.0.0.1/"}, "webhook_url"),
        ({"webhook_url": 5}, "webhook_url"),
        ({"webhook_url": "https://" + "x" * 600}, "webhook_url"),
        ({"teams": ["other"]}, "teams"),
        ({"teams": "weather"}, "teams"),
        ({"email": True}, "email"),
        ({"worker_lost": True}, "worker_lost"),
        ({"failed": "perhaps"}, "failed"),
        ({"sealed_secret": "mine"}, "sealed_secret"),
        ({"user": 1}, "user"),
    ],
)
def test_a_wrong_field_is_named(cast: Cast, bob_api: Api, body: dict[str, Any], field: str, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    answer = bob_api("patch", "notices/settings", body)
    assert answer.status_code == 422
    assert answer.json()["error"]["where"]["field"].startswith(field)
    assert not NoticeChoice.objects.filter(sealed_secret="mine").exists()


def test_without_a_webhook_there_is_nothing_to_try(cast: Cast, bob_api: Api) -> None:
    for path in ("notices/settings/test", "notices/settings/secret"):
        answer = bob_api("post", path)
        assert answer.status_code == 422
        assert "no webhook yet" in answer.json()["error"]["message"]


def test_a_test_says_the_status(cast: Cast, bob_api: Api, settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    with endpoint(418) as hook:
        choose(cast.bob, webhook_url=hook.url)
        answer = bob_api("post", "notices/settings/test")
    assert (answer.json()["delivered"], answer.json()["status"]) == (False, 418)
    assert "an answer that nobody may show" not in answer.content.decode()
    assert SECRET not in answer.content.decode()


def test_a_token_of_one_team_reads_of_the_webhook_its_host_alone(cast: Cast, bob_api: Api) -> None:
    choose(cast.bob, webhook_url="https://hooks.example.org/T0/secret?key=1")
    assert bob_api("get", "notices/settings").json()["webhook_url"] == "https://hooks.example.org/T0/secret?key=1"
    Membership.objects.create(user=cast.bob, team=cast.other_team)
    assert bob_api("get", "notices/settings").json()["webhook_url"] == "https://hooks.example.org/…"
