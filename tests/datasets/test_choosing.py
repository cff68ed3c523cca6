"""The form under a check's result: what it offers, what it asks for, and who sees it."""

from __future__ import annotations

from typing import Any

from django.test import Client

from tests.conftest import Api, Cast
from tests.datasets.test_deciding import GOOD, LATIN, RAGGED, TWICE, checked
from webapp.accounts.models import User
from webapp.datasets.models import DatasetVersion
from webapp.datasets.vetting import run_check


def page_of(user: User, version: dict[str, Any]) -> tuple[Client, str, str]:
    client = Client()
    client.force_login(user)
    address = DatasetVersion.objects.get(pk=version["id"]).get_absolute_url()
    return client, address, client.get(address).content.decode()


def test_the_page_offers_what_the_api_offers(cast: Cast, bob_api: Api) -> None:
    version = checked(bob_api, "a.csv", LATIN)
    client, address, text = page_of(cast.bob, version)
    for problem in version["problems"]:
        assert problem["message"].replace("`", "") in text.replace("<code>", "").replace("</code>", "")
    for each in version["offers"]["convert_encoding"]:
        assert f'value="convert_encoding:{each["value"]}"' in text
    assert "café,pos" in text
    form = {"fix.dataset.not_utf8": "convert_encoding:windows-1252"}
    answer = client.post(f"{address}choices/", form)
    new = DatasetVersion.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (302, new.get_absolute_url())
    run_check(new.pk)
    new.refresh_from_db()
    assert (new.state, new.asked["encoding"]) == ("ready", "windows-1252")


def test_columns_and_split_are_dropdowns_of_the_files_columns(cast: Cast, bob_api: Api) -> None:
    content = "".join(f"title {n},{n % 2},word {n}\n" for n in range(30)).encode()
    version = checked(bob_api, "a.csv", b"headline,label,body\nbad\n" + content)
    client, address, text = page_of(cast.bob, version)
    assert '<option value="headline">headline</option>' in text
    assert '<option value="body" selected>body</option>' in text
    form = {
        "fix.dataset.ragged_row": "skip_rows",
        "shape": "text-classification-text-label",
        "map.text-classification-text-label.text": "headline",
        "map.text-classification-text-label.label": "label",
        "map.causal-lm-prompt-completion.prompt": "body",  # of another shape: not asked for
        "eval_percent": "20",
        "seed": "5",
    }
    client.post(f"{address}choices/", form)
    new = DatasetVersion.objects.latest("pk")
    run_check(new.pk)
    new.refresh_from_db()
    assert (new.state, new.mapping) == ("ready", {"text": "headline", "label": "label"})
    assert new.split == {"kind": "fraction", "fraction": 0.2, "seed": 5}
    assert new.rows["eval"] == 6


def test_a_share_that_is_none_is_refused_on_the_same_page(cast: Cast, bob_api: Api) -> None:
    version = checked(bob_api, "a.csv", RAGGED)
    client, address, _ = page_of(cast.bob, version)
    for percent, seed in (("many", ""), ("99", ""), ("10", "x"), ("10", "9" * 30)):
        answer = client.post(f"{address}choices/", {"eval_percent": percent, "seed": seed})
        assert answer.status_code == 422
        assert 'role="alert"' in answer.content.decode()
    assert DatasetVersion.objects.count() == 1


def test_who_may_only_look_is_offered_nothing(cast: Cast, bob_api: Api) -> None:
    version = checked(bob_api, "a.csv", RAGGED)
    client, address, text = page_of(cast.vera, version)
    assert "choices/" not in text
    assert client.post(f"{address}choices/", {}).status_code == 403
    assert Client().post(f"{address}choices/", {}).status_code == 302  # to the sign-in
    stranger = Client()
    stranger.force_login(cast.charlie)
    assert stranger.post(f"{address}choices/", {}).status_code == 404
    assert stranger.get(f"{address}problems.csv").status_code == 404
    assert client.get(f"{address}problems.csv").status_code == 200


def test_an_upload_in_the_browser_waits_with_its_warnings(cast: Cast, bob_api: Api) -> None:
    version = checked(bob_api, "a.csv", TWICE, warnings="ask")
    _, _, text = page_of(cast.bob, version)
    assert "What shall be done?" in text
    assert '<option value="accept" selected>' in text
    whole = checked(bob_api, "b.csv", f"text,label\n{GOOD}".encode())
    assert "choices/" not in page_of(cast.bob, whole)[2]
