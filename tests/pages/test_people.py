"""Signing in by a link, API tokens and worker keys: each secret is shown once."""

from __future__ import annotations

import re

from django.test import Client

from tests.conftest import Cast
from tests.pages.test_access import browser_of
from webapp.accounts.models import ApiToken, SignInLink
from webapp.jobs.models import Worker


def test_looking_at_a_sign_in_link_does_not_use_it(cast: Cast) -> None:
    address = f"/sign-in/link/{SignInLink.make(cast.bob)}/"
    scanner, bob = Client(), Client()
    assert scanner.get(address).status_code == 200
    assert bob.post(address).status_code == 302
    assert bob.get("/").status_code == 200
    assert Client().post(address).status_code == 410


def test_a_token_is_shown_once(cast: Cast) -> None:
    bob = browser_of(cast.bob)
    made = bob.post("/team/tokens/", {"name": "script"}).content.decode()
    found = re.search(r"delta_u_\w+", made)
    assert found
    token = ApiToken.objects.get()
    assert found[0] not in bob.get("/team/").content.decode()
    assert bob.post(f"/team/tokens/{token.pk}/revoke/").status_code == 302
    assert not ApiToken.objects.live().exists()


def test_a_token_needs_a_name_and_a_role(cast: Cast) -> None:
    assert browser_of(cast.bob).post("/team/tokens/", {"name": ""}).status_code == 422
    assert browser_of(cast.vera).post("/team/tokens/", {"name": "x"}).status_code == 403
    assert not ApiToken.objects.exists()


def test_nobody_revokes_anothers_token(cast: Cast) -> None:
    token, _ = ApiToken.make(cast.alice, cast.team, "hers")
    assert browser_of(cast.bob).post(f"/team/tokens/{token.pk}/revoke/").status_code == 404


def test_a_maintainer_gets_the_start_command_with_a_key(cast: Cast) -> None:
    answer = browser_of(cast.alice).post("/workers/keys/", {"name": "gpu-1"}).content.decode()
    assert re.search(r"DELTABOARD_WORKER_KEY=delta_k_\S+ python3 manage.py worker --site http", answer)
    assert Worker.objects.get().team == cast.team


def test_a_member_gets_no_key(cast: Cast) -> None:
    assert browser_of(cast.bob).post("/workers/keys/", {"name": "gpu-1"}).status_code == 403
    assert not Worker.objects.exists()


def test_a_name_that_is_taken_is_refused(cast: Cast) -> None:
    Worker.objects.create(name="gpu-1", token_sha256="kept")
    answer = browser_of(cast.alice).post("/workers/keys/", {"name": "gpu-1"})
    assert b"already" in answer.content
    assert Worker.objects.get().token_sha256 == "kept"


def test_the_theme_stays_with_the_person(cast: Cast) -> None:
    bob = browser_of(cast.bob)
    bob.post("/theme/", {"theme": "dark"})
    assert b'data-theme="dark"' in bob.get("/").content


def test_a_team_one_is_not_in_cannot_be_chosen(cast: Cast) -> None:
    assert browser_of(cast.bob).post("/team/choose/", {"team": cast.other_team.pk}).status_code == 404
