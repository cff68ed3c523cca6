"""A worker as the site sees it: calls with its tokens, files that it hands in."""

from __future__ import annotations

import hashlib
from typing import Any

from django.test import Client


class WorkerCalls:
    """One worker process as the site sees it."""

    def __init__(self, token: str) -> None:
        self.client, self.token = Client(REMOTE_ADDR="127.0.0.1"), token

    def post(self, path: str, data: Any = None, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return self.client.post(f"/api/worker/{path}", data or {}, "application/json", headers=headers)

    def put(self, path: str, content: bytes, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.put(f"/api/worker/{path}", content, "application/octet-stream", headers=headers)

    def get(self, path: str, token: str) -> Any:
        return self.client.get(f"/api/worker/{path}", headers={"Authorization": f"Bearer {token}"})

    def hello(self, boot: str = "boot-1", host: str = "h1", **report: Any) -> Any:
        return self.post("hello", {"boot_id": boot, "hostname": host, "slots": 1, "busy_slots": 1, **report})

    def claim(self, claim_id: str = "c1", boot: str = "boot-1") -> Any:
        return self.post("claim", {"claim_id": claim_id, "boot_id": boot, "slot": 0, "threads": 1})


def put_file(calls: WorkerCalls, claimed: dict[str, Any], name: str, content: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    answer = calls.put(f"attempts/{claimed['attempt']}/files/{sha256}", content, claimed["token"])
    assert answer.status_code in (200, 201), answer.content
    return {"name": name, "bytes": len(content), "sha256": sha256}


def hand_in_artifact(calls: WorkerCalls, claimed: dict[str, Any]) -> Any:
    weights = put_file(calls, claimed, "adapter_model.safetensors", b"weights")
    manifest = {"files": [weights]}
    files = [weights, put_file(calls, claimed, "manifest.json", b"{}")]
    path = f"attempts/{claimed['attempt']}/artifacts"
    return calls.post(path, {"files": files, "manifest": manifest}, claimed["token"])
