"""Lets a site's people in: `python -m benchmarks.people_filling PASSWORD JOBS` gives all this password and queues jobs.

A process of its own for benchmarks.people, which itself needs no Django. Prints one JSON object: each person's session.
"""

from __future__ import annotations

import json
import sys

from benchmarks.queue_filling import fill  # first: it sets Django up

# isort: split
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client

from webapp.accounts.models import User


def sessions() -> list[str]:
    """One for each person, signed in as in a browser."""
    found = []
    for user in User.objects.order_by("pk"):
        browser = Client(HTTP_HOST="127.0.0.1")
        browser.force_login(user, settings.AUTHENTICATION_BACKENDS[-1])
        found.append(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    return found


if __name__ == "__main__":
    User.objects.update(password=make_password(sys.argv[1]))
    fill(int(sys.argv[2]))
    sys.stdout.write(json.dumps({"cookie": settings.SESSION_COOKIE_NAME, "sessions": sessions()}))
