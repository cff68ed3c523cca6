"""Brings up 127.0.0.1 in a network namespace of one's own, where the processes of one job may talk to each other."""

from __future__ import annotations

import fcntl
import socket
import struct

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
NAME = b"lo"


def bring_up() -> None:
    """Raises OSError without the right to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        known = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh22x", NAME, 0))
        flags = struct.unpack("16sh22x", known)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", NAME, flags | IFF_UP))
