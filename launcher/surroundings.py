"""The environment variables that each kind of process gets; what they mean is written where they are read."""

from __future__ import annotations

import os
from pathlib import Path

_WORKER_NAMES = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "REDIS_URL",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
}  # fmt: skip
_WORKER_PREFIXES = (
    "DELTABOARD_", "LC_", "XDG_", "CUDA_", "NVIDIA_", "NCCL_", "HF_", "TORCH_", "PYTORCH_", "OMP_", "MKL_",
)  # fmt: skip

ARENAS = "2"
"""Heaps of glibc. Django runs each request in a thread of its own, and every heap keeps what one of them gave back."""


def of_site(state: Path, address: str, names: list[str]) -> dict[str, str]:
    """For web, housekeeping and the short commands: ours, with what the embedded site is told."""
    told = {
        "DELTABOARD_VAR": str(state),
        "DELTABOARD_SITE_URL": address,
        "DELTABOARD_EMBEDDED": "1",
        "DELTABOARD_NO_BOOTSTRAP": "1",
        "PYTHONUNBUFFERED": "1",
    }
    hosts = ",".join(dict.fromkeys(["127.0.0.1", "localhost", "[::1]", *names]))
    return {"ALLOWED_HOSTS": hosts, "MALLOC_ARENA_MAX": ARENAS, **os.environ, **told}


def of_worker(site: dict[str, str]) -> dict[str, str]:
    """For a worker, which needs neither the site's secrets nor its database: harmless names alone."""
    kept = {name: text for name, text in site.items() if name in _WORKER_NAMES or name.startswith(_WORKER_PREFIXES)}
    return {**kept, "PYTHONUNBUFFERED": "1"}
