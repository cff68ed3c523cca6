"""A browser puts a large file straight into the bucket, by the page's own policy, and goes on after a cut."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import expect

from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.faults.serving import ROOT, serving
from tests.story.browser import browsing

NAME = "for-browsers"
CONTENT = random.Random(8).randbytes(20 * 1024**2)
KEYS = {"AWS_ACCESS_KEY_ID": "toy", "AWS_SECRET_ACCESS_KEY": "toy", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.fault(45)
def test_a_browser_uploads_past_the_site(moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    owner = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{moto}")
    owner.create_bucket(Bucket=NAME)
    (tmp_path / "large.jsonl").write_bytes(CONTENT)
    with ChaosProxy(moto) as way:
        bucket = {"S3_BUCKET": NAME, "S3_ENDPOINT": f"http://127.0.0.1:{moto}", "S3_PUBLIC_URL": way.url}
        with serving(tmp_path / "site" / "var", **bucket, **KEYS) as site, browsing(site.url) as browser:
            page = browser.page
            words = [sys.executable, "manage.py", "signinlink", "--user", "bob", "--site", site.url]
            link = subprocess.run(words, env=site.environment, cwd=ROOT, capture_output=True, text=True, check=True)
            page.goto(link.stdout.strip().split()[-1])
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_load_state()
            way.add(Rule(path="PUT .*partNumber=2", reset=True, times=1))
            answer = page.goto(f"{site.url}/datasets/upload/")
            assert answer
            assert f"connect-src 'self' {way.url};" in answer.headers["content-security-policy"] + ";"
            page.set_input_files("#id_file", tmp_path / "large.jsonl")
            page.get_by_role("button", name="Upload", exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_contain_text("large", timeout=60_000)
            puts = [line for line in way.seen if line.startswith("PUT")]
            assert {line.partition("partNumber=")[2].partition("&")[0] for line in puts} == {"1", "2", "3"}
            assert len(puts) >= 4  # the one that was cut came again
            assert page.evaluate("window.__violations") == []
            foreign = [fault for fault in browser.faults if not fault.startswith("console: Failed to load resource")]
            assert all(fault.startswith(f"foreign: {way.url}/{NAME}/") for fault in foreign), foreign
    (only,) = owner.list_objects_v2(Bucket=NAME)["Contents"]
    stored = owner.get_object(Bucket=NAME, Key=only["Key"])["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(CONTENT).hexdigest()


def test_an_address_that_no_policy_could_name_keeps_the_site_from_starting() -> None:
    for odd in ("https://s3.example.org/bucket", "https://a.example; script-src *"):
        told = os.environ | {"S3_BUCKET": "b", "S3_PUBLIC_URL": odd}
        run = subprocess.run(
            [sys.executable, "-c", "import webapp.settings"], env=told, cwd=ROOT, capture_output=True, text=True
        )
        assert "S3_PUBLIC_URL" in run.stderr.strip().splitlines()[-1]
