"""Keys for secrets at rest, and what the operator sets in the environment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as site
from django.core.management import CommandError, call_command

from launcher.surroundings import of_worker
from tests.conftest import Cast
from tests.notices.conftest import SECRET, choose
from webapp.notices.models import NoticeChoice
from webapp.notices.sealing import Unreadable, seal, unseal

ROOT = Path(__file__).resolve().parents[2]


def test_the_key_is_a_private_file_beside_the_database() -> None:
    path = site.VAR / "encryption_key"
    assert [path.read_text()] == site.ENCRYPTION_KEYS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_key_seals_and_the_old_one_still_opens(settings: Any) -> None:
    sealed, old = seal("a secret"), settings.ENCRYPTION_KEYS[0]
    assert "a secret" not in sealed
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    assert unseal(sealed) == "a secret"
    fresh = seal("a secret")
    settings.ENCRYPTION_KEYS = [new]
    assert unseal(fresh) == "a secret"
    with pytest.raises(Unreadable):
        unseal(sealed)


def test_after_resealing_the_old_key_can_go(cast: Cast, settings: Any) -> None:
    choice = choose(cast.bob, webhook_url="https://hooks.example.org/")
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    call_command("resealsecrets")
    settings.ENCRYPTION_KEYS = [new]
    choice.refresh_from_db()
    assert unseal(choice.sealed_secret) == SECRET


def test_what_no_key_opens_is_named(cast: Cast) -> None:
    choose(cast.bob, webhook_url="https://hooks.example.org/", sealed_secret="from elsewhere")
    with pytest.raises(CommandError, match="bob"):
        call_command("resealsecrets")
    assert NoticeChoice.objects.get().sealed_secret == "from elsewhere"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EMAIL_URL", "mail.example.org"),
        ("EMAIL_URL", "http://mail.example.org"),
        ("EMAIL_URL", "smtp://"),
        ("EMAIL_URL", "smtp://mail.example.org:port"),
        ("DELTABOARD_WEBHOOK_NETWORKS", "10.1.0.0/33"),
        ("DELTABOARD_WEBHOOK_NETWORKS", "intranet"),
        ("ENCRYPTION_KEYS", "too-short"),
    ],
)
def test_a_setting_that_makes_no_sense_keeps_the_site_from_starting(name: str, text: str) -> None:
    command = [sys.executable, "-c", "import webapp.settings"]
    run = subprocess.run(command, env=os.environ | {name: text}, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured")
    assert name in last


def test_a_worker_gets_neither_the_key_nor_the_mail_password() -> None:
    told = of_worker({"EMAIL_URL": "smtp://u:p@mail", "ENCRYPTION_KEYS": "k", "PATH": "/bin"})
    assert set(told) & {"EMAIL_URL", "ENCRYPTION_KEYS"} == set()
