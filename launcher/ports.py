"""Whether an address can be listened on, and which port is free; opens nothing that stays open."""

from __future__ import annotations

import errno
import socket

from launcher.refusal import Refusal

EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound to


def free_port() -> int:
    """A port on loopback that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def require_free(host: str, port: int) -> None:
    """Refuses, with the fix, an address that the web server could not listen on."""
    problem = _problem(host, port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        other = next((p for p in range(port + 1, min(port + 50, 65536)) if _problem(host, p) is None), free_port())
        raise Refusal(f"Port {port} on {host} is in use by another program. Choose another: --port {other}")
    if problem.errno == errno.EACCES:
        raise Refusal(f"Port {port} needs root's rights. Choose one above 1023, for instance --port 8000.")
    raise Refusal(f"This machine has no address {host}. Use --host 127.0.0.1, or --host 0.0.0.0 for every address.")


def _problem(host: str, port: int) -> OSError | None:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            return None
    except OSError as problem:
        return problem


def own_names() -> list[str]:
    """The name and the address by which people on the network may call this machine."""
    return [name for name in (socket.gethostname(), _outward_address()) if name]


def _outward_address() -> str:
    """The address this machine would use to reach others; a UDP socket sends nothing by connecting."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
