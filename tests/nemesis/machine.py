"""The real worker with a toy trainer and a journal: `python -m tests.nemesis.machine --site URL --name NAME`.

NEMESIS_JOURNALS names the folder of the journals, NEMESIS_SECRETS the file that collects tokens, so that the checker
can look for them where they must not be. Everything else is `python -m workers` as people run it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from tests.nemesis.journal import Journal
from workers import __main__ as worker
from workers.client import SiteClient, SiteRefused, SiteUnreachable, UnknownToken
from workers.station import Station

TRAINER = Path(__file__).with_name("trainer.py")
ATTEMPT = re.compile(r"attempts/(\d+)/(\w+)")
FIRST_SEQ = re.compile(r'"first_seq":(\d+)')


class NotedClient(SiteClient):
    """The worker's own client, which writes down each call about a job."""

    def __init__(self, site: str, token: str = "") -> None:
        super().__init__(site, token)
        name = os.environ["NEMESIS_NAME"]
        self._journal = Journal(Path(os.environ["NEMESIS_JOURNALS"]), name)
        self._known: dict[int, dict[str, Any]] = {}
        _keep_secret(token)

    def claim(self, body: dict[str, Any]) -> dict[str, Any] | None:
        sent = time.monotonic()
        claimed = super().claim(body)
        if claimed is not None and claimed["kind"] == "job":
            facts = {"job": claimed["spec"]["job_id"], "attempt": claimed["attempt"], "attempt_no": claimed["number"]}
            self._known[claimed["attempt"]] = facts
            _keep_secret(claimed["token"])
            self._journal.note("claim", True, sent, status=200, more={"claim_id": body["claim_id"]}, **facts)
        return claimed

    def call(self, method: str, path: str, token: str, **how: Any) -> httpx.Response:
        found = ATTEMPT.match(path)
        if found is None or method == "GET":
            return super().call(method, path, token, **how)
        sent = time.monotonic()
        status: int | None = None
        try:
            answer = super().call(method, path, token, **how)
            status = answer.status_code
        except UnknownToken:
            status = 401
            raise
        except SiteRefused as refused:
            status = refused.status
            raise
        except SiteUnreachable as lost:
            said = re.search(r"answered (\d{3})", str(lost))
            status = int(said[1]) if said else None
            raise
        finally:
            self._note(found, sent, status, how.get("content"))
        return answer

    def _note(self, found: re.Match[str], sent: float, status: int | None, content: Any) -> None:
        attempt, verb = int(found[1]), found[2]
        more = {}
        if verb == "events" and isinstance(content, str) and (first := FIRST_SEQ.search(content)):
            more = {"first_seq": int(first[1]), "empty": content.endswith('"events":[]}')}
        ok = status is not None and status < 300
        self._journal.note(verb, ok, sent, status=status, more=more, **self._known.get(attempt, {"attempt": attempt}))


def _keep_secret(text: str) -> None:
    if text:
        with Path(os.environ["NEMESIS_SECRETS"]).open("a") as file:
            file.write(json.dumps(text) + "\n")


def toy(folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-S", "-P", str(TRAINER), str(folder))


def main() -> int:
    station = functools.partial(Station, train_with=toy)
    with patch.object(worker, "SiteClient", NotedClient), patch.object(worker, "Station", station):
        return worker.main()


if __name__ == "__main__":
    sys.exit(main())
