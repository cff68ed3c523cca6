"""Hearing of one's jobs, in a real browser against a whole stack: a webhook, mail and the bell."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from launcher.testing import find_chromium
from tests.notices.endpoints import Endpoint, MailServer, endpoint, mail_server
from tests.story.browser import Browser, browsing
from tests.story.stack import Stack, running_stack
from webapp.notices.webhooks import signature

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and "CI" not in os.environ, reason="no Chromium here; apt install chromium"
    ),
]


@pytest.fixture(scope="module")
def hook() -> Iterator[Endpoint]:
    with endpoint() as hook:
        yield hook


@pytest.fixture(scope="module")
def post_office() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def quiet_stack(tmp_path_factory: pytest.TempPathFactory, post_office: MailServer) -> Iterator[Stack]:
    """A stack without a worker, which may send to this machine."""
    var = tmp_path_factory.mktemp("notices") / "var"
    mail = f"smtp://127.0.0.1:{post_office.port}"
    networks = {"DELTABOARD_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with running_stack(var, "--no-worker", EMAIL_URL=mail, **networks) as stack:
        stack.manage(
            "shell",
            "-v",
            "0",
            "-c",
            "from webapp.accounts.models import User; User.objects.update(email='a@example.org')",
        )
        yield stack


@pytest.fixture(scope="module")
def browser(quiet_stack: Stack) -> Iterator[Browser]:
    with browsing(quiet_stack.url) as browser:
        browser.page.goto(quiet_stack.sign_in_link)
        browser.page.get_by_role("button", name="Sign in").click()
        yield browser


@pytest.fixture(scope="module")
def secret(browser: Browser, hook: Endpoint) -> str:
    """Chosen in the browser: everything, by every channel."""
    page = browser.page
    page.goto(f"{browser.url}/notices/settings/")
    page.get_by_label("To a webhook at").fill(hook.url)
    page.get_by_label("By e-mail to a@example.org").check()
    page.get_by_label("lost its worker").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("not shown again")
    return page.locator("#secret-text").inner_text()


def test_a_bad_address_is_refused_where_it_stands(browser: Browser) -> None:
    page = browser.page
    page.goto(f"{browser.url}/notices/")
    expect(page.locator("main")).to_contain_text("Nothing to tell yet")
    page.get_by_role("link", name="Choose what you hear of").first.click()
    page.get_by_label("To a webhook at").fill("http://169.254.169.254/latest/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("private or reserved network")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("To a webhook at")).to_have_attribute("aria-invalid", "true")
    browser.glance("notices-refused")
    browser.faults.clear()  # Chromium notes the refusal's status as an error


def test_the_secret_is_shown_to_be_copied(browser: Browser, secret: str) -> None:
    assert secret.startswith("delta_h_")
    browser.glance("notices-secret")
    browser.complain()


def test_a_test_shows_how_the_endpoint_answered(browser: Browser, secret: str, hook: Endpoint) -> None:
    page = browser.page
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status")).to_contain_text("The endpoint answered 200.")
    expect(page.locator("#secret-text")).to_have_count(0)
    assert json.loads(hook.received[0].body)["kind"] == "test"
    browser.complain()


def test_ends_reach_the_webhook_the_mailbox_and_the_bell(
    quiet_stack: Stack, browser: Browser, secret: str, hook: Endpoint, post_office: MailServer
) -> None:
    hook.received.clear()
    quiet_stack.manage("shell", "-v", "0", "-c", "from tests.story.planting import plant; plant()")
    quiet_stack.wait_for("three webhooks", lambda: len(hook.received) >= 3)
    quiet_stack.wait_for("three mails", lambda: len(post_office.messages) >= 3)
    kinds = {json.loads(each.body)["kind"] for each in hook.received}
    assert kinds == {"succeeded", "failed", "cancelled"}
    for each in hook.received:
        moment = re.match(r"t=(\d+),", each.headers["Deltaboard-Signature"])
        assert moment
        assert each.headers["Deltaboard-Signature"] == signature(secret, int(moment[1]), each.body)
    page = browser.page
    page.goto(f"{browser.url}/team/")
    expect(page.get_by_role("link", name="Notices, 3 unread")).to_be_visible()
    page.get_by_role("link", name="Notices, 3 unread").click()
    browser.glance("notices-list")
    browser.complain()


def test_notices_are_read_with_the_keyboard_alone(browser: Browser, secret: str) -> None:
    page = browser.page
    page.goto(f"{browser.url}/notices/")
    page.get_by_role("button", name="Mark as read <b>bold</b> sweep 3 was cancelled by Bob.").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Notices, 2 unread")).to_be_visible()
    page.get_by_role("button", name="Mark all as read").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("link", name="Notices", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Mark"))).to_have_count(0)
    browser.complain()


@pytest.mark.parametrize("address", ["/notices/", "/notices/settings/"])
def test_nothing_scrolls_sideways_on_the_narrowest_screen(browser: Browser, secret: str, address: str) -> None:
    page = browser.page
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto(browser.url + address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    small = page.evaluate(
        "[...document.querySelectorAll('main a.button, main button, main .check')]"
        ".filter(e => e.getBoundingClientRect().height < 24).map(e => e.textContent)"
    )
    assert small == []
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_secret_is_in_no_log_of_the_stack(quiet_stack: Stack, secret: str) -> None:
    logs = [path.read_text(errors="replace") for path in Path(quiet_stack.var).glob("logs/*.log")]
    assert logs
    assert secret not in "".join(logs) + quiet_stack.output.read_text()


@pytest.fixture
def stack_without_broker(tmp_path: Path) -> Iterator[Stack]:
    """Its broker's address is one where nothing listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        networks = {"DELTABOARD_WEBHOOK_NETWORKS": "127.0.0.0/8"}
        with running_stack(tmp_path / "var", "--no-worker", REDIS_URL=nowhere, **networks) as stack:
            yield stack


def test_without_a_broker_the_outbox_is_emptied_all_the_same(stack_without_broker: Stack, hook: Endpoint) -> None:
    stack = stack_without_broker
    hook.received.clear()
    answer = stack.api("patch", "notices/settings", json={"webhook_url": hook.url})
    assert answer.status_code == 200, answer.text
    stack.manage("shell", "-v", "0", "-c", "from tests.story.planting import plant; plant()")
    stack.wait_for("three webhooks", lambda: len(hook.received) >= 3)
