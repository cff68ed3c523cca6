"""A package index and a hub on loopback: real HTTP, tiny contents."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Pages = dict[str, tuple[int, dict[str, str], bytes]]
"""By path without query: status, headers, body."""


@contextmanager
def served(pages: Pages, seen: list[Any] | None = None) -> Iterator[str]:
    """Serve the pages, yield the address; `seen` collects (path, headers in lower case) of the requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if seen is not None:
                seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            status, headers, body = pages.get(self.path.partition("?")[0], (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def hub_pages(files: dict[str, bytes], hub_id: str = "weather/tiny", licence: str = "mit") -> Pages:
    """What the hub serves for one model with these files."""
    pages: Pages = {}
    listing = [{"rfilename": name, "size": len(body)} for name, body in files.items()]
    model = {"id": hub_id, "sha": COMMIT, "siblings": listing, "cardData": {"license": licence}}
    for revision in ("v1", COMMIT):
        pages[f"/api/models/{hub_id}/revision/{revision}"] = _json(model)
    tree = [{"type": "file", "path": name, "size": len(body), "oid": "0"} for name, body in files.items()]
    pages[f"/api/models/{hub_id}/tree/{COMMIT}"] = _json(tree)
    for name, body in files.items():
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        pages[f"/{hub_id}/resolve/{COMMIT}/{name}"] = (200, headers, body)
    return pages


def refusing_hub(status: int, error_code: str, hub_id: str = "weather/tiny") -> Pages:
    """A hub that refuses the model's revision."""
    return {f"/api/models/{hub_id}/revision/v1": (status, {"X-Error-Code": error_code}, b"{}")}


def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
