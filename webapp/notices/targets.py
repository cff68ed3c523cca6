"""Where a webhook may go: one reading of the address, one look-up of its name, public addresses only.

What `read_target` returns is all that is ever used of a person's URL; nothing parses the text a second time.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], list[str]]

PORTS = (443, 8443)
"""On the internet. Within the operator's own networks any port."""
LENGTH = 500
CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Ends in a label that begins with a letter, so no decimal, octal or hexadecimal address passes as a name."""
CLOSED = [
    ipaddress.ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"),  # protocol assignments, 6to4 relays, a cloud's inner
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),  # Teredo and other tunnels, examples, 6to4
    )
]
GLOBAL_6 = ipaddress.ip_network("2000::/3")


class Refused(Exception):
    """The address is not one to send to; the sentence says why and what would be."""


@dataclass(frozen=True)
class Target:
    """The parts of a webhook's address."""

    https: bool
    host: str
    port: int
    path: str


def read_target(text: str) -> Target:
    """The address in parts. Raises Refused."""
    if len(text) > LENGTH:
        raise Refused(f"The webhook's address is longer than {LENGTH} characters.")
    if not CHARACTERS.fullmatch(text):
        raise Refused("The webhook's address holds a space, a backslash, `#` or another character it cannot have.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused("The webhook's address cannot be read. Write it like https://hooks.example.org/path.") from error
    if parts.scheme not in (("https", "http") if settings.WEBHOOK_NETWORKS else ("https",)):
        raise Refused("The webhook's address must begin with https://.")
    if "@" in parts.netloc:
        raise Refused("Leave name and password out of the webhook's address; check our signature instead.")
    https = parts.scheme == "https"
    target = Target(https, host, port if port is not None else 443 if https else 80, _path(parts.path, parts.query))
    literal = _literal(parts.netloc, host)
    if literal is not None:
        _require_open(target, literal)
    elif not NAME.fullmatch(host):
        raise Refused("The webhook's host is neither a name such as hooks.example.org nor a plain IP address.")
    return target


def _path(path: str, query: str) -> str:
    return (path or "/") + (f"?{query}" if query else "")


def _literal(netloc: str, host: str) -> Address | None:
    """The address that the host spells out, if it is one in its usual form."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if (address.version == 6) != netloc.startswith("["):
        raise Refused("An IPv6 address stands in brackets: https://[2001:…]/path.")
    return address


def look_up(host: str, port: int) -> list[str]:
    """Every address of a name, as the system's resolver gives them. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def settle(target: Target, resolver: Resolver = look_up) -> Address:
    """The one address to connect to: looked up once, refused if any of them is closed. Raises Refused."""
    try:
        found = [ipaddress.ip_address(text) for text in resolver(target.host, target.port)]
    except (OSError, ValueError) as error:
        raise Refused(f"The name {target.host} leads nowhere. Check how it is written.") from error
    if not found:
        raise Refused(f"The name {target.host} leads nowhere. Check how it is written.")
    for address in found:
        _require_open(target, address)
    return found[0]


def _require_open(target: Target, address: Address) -> None:
    if any(address in network for network in settings.WEBHOOK_NETWORKS):
        return
    if not is_public(address):
        raise Refused(
            f"{target.host} leads into a private or reserved network, where webhooks are not sent. "
            "The site's admin can allow a network with DELTABOARD_WEBHOOK_NETWORKS."
        )
    if not target.https:
        raise Refused("The webhook's address must begin with https://.")
    if target.port not in PORTS:
        raise Refused(f"Port {target.port} is not one for webhooks. Use 443 or 8443.")


def is_public(address: Address) -> bool:
    """Whether it belongs to the open internet: no private, tunnelled, shared, reserved or multicast address."""
    if any(address in network for network in CLOSED if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv6Address) and (address not in GLOBAL_6 or address.scope_id):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
