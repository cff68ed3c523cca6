"""How a worker gets its token: a one-time key the first time, a file that only its owner reads from then on."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from workers.client import LOOPBACK, Enrolment, SiteClient, SiteRefused, SiteUnreachable
from workers.protocol import PROTOCOL
from workers.versions import own_version

KEY_VARIABLE = "DELTABOARD_WORKER_KEY"


class CannotStart(Exception):
    """The worker cannot start; the sentence says why and what to do."""


@dataclass(frozen=True)
class Home:
    """The worker's own folder under var/."""

    path: Path

    @classmethod
    def of(cls, name: str, environment: Mapping[str, str]) -> Home:
        if not name or name != Path(name).name or name.startswith("."):
            raise CannotStart(f"`{name}` cannot be a worker's name: use letters, digits, - and _.")
        return cls(Path(environment.get("DELTABOARD_VAR", "var")).resolve() / "workers" / name)

    @property
    def place(self) -> str:
        """Stands for this folder on this machine, without naming it."""
        return hashlib.sha256(f"{platform.node()}:{self.path}".encode()).hexdigest()[:32]

    @property
    def token(self) -> Path:
        return self.path / "token.json"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs"

    @property
    def kept(self) -> Path:
        return self.path / "kept"

    @property
    def cache(self) -> Path:
        return self.path / "cache"


def default_name() -> str:
    return platform.node().split(".")[0] or "worker"


def check_address(site: str) -> None:
    """Raises CannotStart: the token and the data must not travel in the clear."""
    parts = urlsplit(site)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotStart(f"`{site}` is not a site's address. Use one such as https://deltaboard.example.org.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise CannotStart(f"{site} is plain http: a worker on another machine needs an https address.")


def lock(home: Home) -> IO[str]:
    """Keep a second process out of this folder for as long as the answer is open. Raises CannotStart."""
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (home.path / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise CannotStart(
            f"Worker {home.path.name} already runs on this machine. Stop it first, or give this one another --name."
        ) from error
    return file


def enrolled(home: Home, site: str, environment: Mapping[str, str]) -> Enrolment:
    """The saved enrolment, or a new one for the key. Raises CannotStart."""
    saved = _saved(home, site)
    if saved is not None:
        return saved
    client = SiteClient(site)
    try:
        enrolment = client.enrol(_key(environment, site), platform.node(), own_version(), PROTOCOL)
    except SiteRefused as error:
        raise CannotStart(f"{site} did not enrol this worker: {error}") from error
    except SiteUnreachable as error:
        raise CannotStart(f"{error} Check the address and that the site runs.") from error
    finally:
        client.close()
    _save(home, site, enrolment)
    return enrolment


def broker_url(enrolment: Enrolment, environment: Mapping[str, str]) -> str:
    """Where the wake-ups come from; the worker's own REDIS_URL first. Raises CannotStart."""
    url = environment.get("REDIS_URL") or enrolment.broker_url
    if not url:
        raise CannotStart("The site gives no broker address. Set REDIS_URL to the Redis or Valkey that the site uses.")
    return url


def _key(environment: Mapping[str, str], site: str) -> str:
    key = environment.get(KEY_VARIABLE, "").strip()
    if not key and sys.stdin.isatty():
        key = getpass.getpass(f"One-time worker key of {site} (from its Team page): ").strip()
    if not key:
        raise CannotStart(f"No worker key. Make one on the site's Team page and set {KEY_VARIABLE} to it.")
    return key


def _saved(home: Home, site: str) -> Enrolment | None:
    try:
        data = json.loads(home.token.read_text())
        return Enrolment(**data["enrolment"]) if data["site"] == site else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CannotStart(f"{home.token} is damaged. Delete it and start again with a new worker key.") from error


def _save(home: Home, site: str, enrolment: Enrolment) -> None:
    """Complete or absent, and never readable by others, not even for a moment."""
    new = home.token.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"site": site, "enrolment": asdict(enrolment)}, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(home.token)
