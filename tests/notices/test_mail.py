"""E-mail through a real SMTP server: plain words, one header a line, no secret, a link to the job."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from django.utils import timezone

from tests.conftest import Cast
from tests.notices.conftest import choose
from tests.notices.endpoints import MailServer, mail_server
from webapp.jobs.models import Job
from webapp.notices.mailing import one_line
from webapp.notices.models import Delivery
from webapp.notices.sending import send_due

End = Callable[[], Job]


@pytest.fixture
def server(settings: Any, cast: Cast) -> Iterator[MailServer]:
    """A mail server that the site knows, and Bob with an address."""
    cast.bob.email = "bob@example.org"
    cast.bob.save()
    choose(cast.bob, email=True)
    with mail_server() as server:
        use(settings, server)
        yield server


def use(settings: Any, server: MailServer) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port


def read(text: str) -> EmailMessage:
    message = email.message_from_string(text, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_says_what_happened_and_links_to_the_job(cast: Cast, succeed: End, server: MailServer) -> None:
    job = succeed()
    assert send_due() == 1
    message = read(server.messages[0])
    delivery = Delivery.objects.get()
    assert message["To"] == "bob@example.org"
    assert message["Subject"] == "a job: succeeded"
    assert message["Message-ID"] == f"<{delivery.uuid}@127.0.0.1>"
    assert message.get_content_type() == "text/plain"
    body = message.get_content()
    assert f"http://127.0.0.1:8000/jobs/{job.pk}/" in body
    assert "a job succeeded." in body
    assert delivery.sent_at is not None


@pytest.mark.parametrize(
    "name",
    [
        "x\r\nBcc: eve@example.org",
        "x\nBcc: eve@example.org",
        "x\u2028Bcc: eve@example.org",
        "x\x00\x0bBcc: e",
        "é€😀\r\n\r\nhi",
    ],
)
def test_a_jobs_name_adds_no_header(cast: Cast, succeed: End, server: MailServer, name: str) -> None:
    Job.objects.update(name=name.replace("\x00", ""))
    succeed()
    assert send_due() == 1
    message = read(server.messages[0])
    assert message["Bcc"] is None
    assert message["To"] == "bob@example.org"
    assert message["Subject"] == f"{one_line(name)}: succeeded"


def test_a_server_that_is_away_is_tried_again(cast: Cast, succeed: End, server: MailServer, settings: Any) -> None:
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    succeed()
    send_due()
    delivery = Delivery.objects.get()
    assert (delivery.sent_at, delivery.last_error) == (None, "The mail server did not answer.")
    settings.EMAIL_PORT = port
    Delivery.objects.update(next_try_at=timezone.now())
    send_due()
    assert len(server.messages) == 1


def test_a_refused_recipient_is_a_sentence(cast: Cast, succeed: End, server: MailServer) -> None:
    server.refuse = 1
    succeed()
    send_due()
    assert Delivery.objects.get().last_error == "The mail server does not take mail for this address."


def test_an_address_that_no_header_can_hold_is_a_sentence(cast: Cast, succeed: End, server: MailServer) -> None:
    cast.bob.email = "bob@example.org\nBcc: eve@example.org"
    cast.bob.save()
    succeed()
    send_due()
    assert "not one that mail can carry" in Delivery.objects.get().last_error
    assert server.messages == []
