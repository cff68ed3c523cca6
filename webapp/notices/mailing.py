"""A notice as a plain e-mail. The server is the operator's (EMAIL_URL); nothing here but the words."""

from __future__ import annotations

import smtplib
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from webapp.notices.webhooks import Undelivered


def is_set_up() -> bool:
    """Whether the site's admin named a mail server."""
    return bool(settings.EMAIL_HOST)


def one_line(text: str) -> str:
    """No line break or control character, so that a job's name adds no header."""
    plain = "".join(" " if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") else each for each in text)
    return " ".join(plain.split())


def mail(address: str, delivery_id: str, content: dict[str, Any]) -> None:
    """Hand it to the mail server. Raises Undelivered with a sentence."""
    job = content["job"]
    subject = one_line(f"{job['name']}: {content['kind'].replace('_', ' ')}")[:200]
    site = urlsplit(settings.SITE_URL).hostname or "localhost"
    text = f"{content['sentence']}\n\n{job['url']}\n\nTeam {job['team']}. You chose to hear of this: "
    text += f"{settings.SITE_URL.rstrip('/')}/notices/settings/\n"
    message = EmailMessage(subject, text, to=[address], headers={"Message-ID": f"<{delivery_id}@{site}>"})
    try:
        message.send()
    except smtplib.SMTPResponseException as error:
        raise Undelivered(f"The mail server refused the message (code {error.smtp_code}).") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise Undelivered("The mail server does not take mail for this address.") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered("The mail server did not answer.") from error
    except ValueError as error:
        raise Undelivered("The e-mail address or the message is not one that mail can carry.") from error
