"""Server-side request forgery: strings, names and answers that lead inside, with a canary that nothing may reach."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.notices.conftest import SECRET
from tests.notices.endpoints import canary, endpoint
from webapp.notices import targets, webhooks
from webapp.notices.targets import Refused, is_public, read_target, settle

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
INSIDE = [
    "https://127.0.0.1:{port}/",
    "https://127.0.0.1.:{port}/",
    "https://127.1:{port}/",
    "https://127.0.1:{port}/",
    "https://127.255.255.254:{port}/",
    "https://0.0.0.0:{port}/",
    "https://0:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0x7f.0.0.1:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://017700000001:{port}/",
    "https://127.0.0.0x1:{port}/",
    "https://localhost:{port}/",
    "https://LOCALHOST:{port}/",
    "https://localhost.:{port}/",
    "https://inside.example.org:{port}/",
    "https://127.0.0.1.nip.io:{port}/",
    "https://[::1]:{port}/",
    "https://[::]:{port}/",
    "https://[0:0:0:0:0:0:0:1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:7f00:1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://[64:ff9b:1::7f00:1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://[2001:0:7f00:1::80ff:fffe]:{port}/",
    "https://[fe80::1%25lo]:{port}/",
    "https://[fe80::1%lo]:{port}/",
    "https://[fd00:ec2::254]:{port}/",
    "https://[::1%25]:{port}/",
    "https://allowed.example.org:xx@127.0.0.1:{port}/",
    "https://hooks.example.org@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\\@hooks.example.org/",
    "https://hooks.example.org\\@127.0.0.1:{port}/",
    "https:\\\\127.0.0.1:{port}\\",
    "https:/\\127.0.0.1:{port}/",
    "https:///127.0.0.1:{port}/",
    "https:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@hooks.example.org/",
    "https://hooks.example.org#@127.0.0.1:{port}/",
    "https://127.0.0.1 :{port}/",
    "https://127.0.0.1\t:{port}/",
    "https://127.0.0.1\r\nHost: x:{port}/",
    "https://127。0。0。1:{port}/",
    "https://①②⑦.⓪.⓪.①:{port}/",
    "https://ⓛocalhost:{port}/",
    "https://%31%32%37.0.0.1:{port}/",
    "https://127.0.0.1%00.example.org:{port}/",
    "https://127.0.0.1%2523:{port}/",
    "https://10.0.0.1:{port}/",
    "https://172.16.0.1:{port}/",
    "https://192.168.1.1:{port}/",
    "https://100.100.100.200:{port}/latest/meta-data/",
    "https://169.254.169.254:{port}/latest/meta-data/",
    "https://168.63.129.16:{port}/",
    "https://192.0.0.192:{port}/",
    "https://198.18.0.1:{port}/",
    "https://224.0.0.1:{port}/",
    "https://255.255.255.255:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "https://",
    "",
]


def inward(host: str, port: int) -> list[str]:
    """A resolver of which every name leads to this machine."""
    return ["127.0.0.1"]


def test_there_are_forty_strings_and_more() -> None:
    assert len(set(INSIDE)) >= 40


@pytest.mark.parametrize("text", INSIDE)
def test_no_string_leads_inside(text: str, monkeypatch: Any) -> None:
    with canary() as bird:
        monkeypatch.setattr(targets, "PORTS", (443, bird.port))  # so that the port is not what saves us
        with pytest.raises(webhooks.Undelivered):
            webhooks.post(text.format(port=bird.port), SECRET, "id", {}, inward)
        assert bird.hits == 0


def test_the_canary_sings_where_the_operator_allows_the_network(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = LOOPBACK
    with canary() as bird:
        for text in ("https://127.0.0.1:{port}/", "http://127.0.0.1:{port}/", "https://inside.example.org:{port}/"):
            with pytest.raises(webhooks.Undelivered):
                webhooks.post(text.format(port=bird.port), SECRET, "id", {}, inward)
    assert bird.hits == 3


def test_a_name_that_changes_its_answer_is_asked_once_and_that_answer_is_used(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.2/32")]
    answers = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]]
    asked = []

    def turncoat(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    with endpoint(address="127.0.0.2") as good, endpoint(address="127.0.0.1", port=good.port) as inner:
        url = f"http://turncoat.example.org:{good.port}/"
        assert webhooks.post(url, SECRET, "id", {}, turncoat) == 200
        assert (len(good.received), len(asked)) == (1, 1)
        assert good.received[0].headers["Host"] == f"turncoat.example.org:{good.port}"
        with pytest.raises(webhooks.Undelivered, match="private or reserved"):
            webhooks.post(url, SECRET, "id", {}, turncoat)
        assert inner.received == []


def test_one_closed_address_among_open_ones_closes_the_name() -> None:
    target = read_target("https://mixed.example.org/")
    with pytest.raises(Refused, match="private or reserved"):
        settle(target, lambda host, port: ["93.184.215.14", "10.0.0.7"])


def test_a_redirect_to_loopback_is_not_followed(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.2/32")]
    with canary() as bird, endpoint(302, address="127.0.0.2", location=f"http://127.0.0.1:{bird.port}/") as sly:
        assert webhooks.post(sly.url, SECRET, "id", {}) == 302
        assert bird.hits == 0


def test_a_public_name_and_a_public_address_pass() -> None:
    for text, answers in (
        ("https://hooks.example.org/a?b=c", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]),
        ("https://hooks.example.org:8443/", ["93.184.215.14"]),
        ("https://xn--bcher-kva.example/", ["93.184.215.14"]),
        ("https://93.184.215.14/", ["93.184.215.14"]),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"]),
    ):
        target = read_target(text)
        assert str(settle(target, lambda host, port, answers=answers: answers)) == answers[0]  # type: ignore[misc]


def test_an_odd_port_is_refused_on_the_internet() -> None:
    with pytest.raises(Refused, match="Port 25"):
        settle(read_target("https://mail.example.org:25/"), lambda host, port: ["93.184.215.14"])


def test_plain_http_stays_inside_the_operators_networks(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = LOOPBACK
    with pytest.raises(Refused, match="https"):
        settle(read_target("http://hooks.example.org/"), lambda host, port: ["93.184.215.14"])


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111"])
def test_public_addresses_are_known_as_such(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
