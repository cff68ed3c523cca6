"""Asks this site's own worker API whether it answers: while it does not, no worker can be blamed for silence."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from django.conf import settings

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 2.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass
class Probe:
    """One address, asked once a sweep; says only when the answer changes."""

    url: str = settings.PROBE_URL
    well: bool | None = None
    """The last answer; None before the first."""

    def answers(self) -> bool:
        """Whether a worker would be heard right now."""
        problem = self._problem()
        if problem and self.well is not False:
            log.warning("No lease is ended for now: %s", problem)
        elif not problem and self.well is False:
            log.info("The worker API answers again at %s.", self.url)
        self.well = not problem
        return self.well

    def _problem(self) -> str:
        if not self.url:
            return "this process does not know where the site answers. Set DELTABOARD_PROBE_URL."
        local = urlsplit(self.url).hostname in LOOPBACK
        try:
            answer = httpx.get(f"{self.url.rstrip('/')}/api/worker/ping", timeout=TIMEOUT_SECONDS, trust_env=not local)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"the worker API at {self.url} does not answer ({error or type(error).__name__})."
        return "" if answer.status_code == httpx.codes.OK else f"the worker API answers {answer.status_code}."
