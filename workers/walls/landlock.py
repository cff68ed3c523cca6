"""Landlock: the kernel refuses this process, and all that it starts, every path, TCP port and signal not allowed here.

Needs no privilege and cannot be taken back. Rules add up along a path: what a folder allows holds for all below it.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable

from workers.walls import kernel
from workers.walls.files import Access, Rule

CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
ALL_OF_FIRST_VERSION = (1 << 13) - 1
"""Also removing and making of every kind of file, by kind."""
MAKE_CHAR_DEVICE, MAKE_BLOCK_DEVICE = 1 << 6, 1 << 11
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
SINCE = {REFER: 2, TRUNCATE: 3, IOCTL_DEVICE: 5}
"""Rights by the Landlock version that brought them."""
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
"""A rule for a file, not a folder, may hold these alone."""

BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
TCP_SINCE = 4
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1
SCOPES_SINCE = 6

RIGHTS: dict[Access, int] = {
    "list": READ_DIR,
    "read": READ_FILE | READ_DIR,
    "run": EXECUTE | READ_FILE | READ_DIR,
    "device": READ_FILE | WRITE_FILE | READ_DIR | IOCTL_DEVICE,
    "write": (ALL_OF_FIRST_VERSION | REFER | TRUNCATE) & ~(EXECUTE | MAKE_CHAR_DEVICE | MAKE_BLOCK_DEVICE),
}


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """Landlock's version here; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return kernel.call(kernel.LANDLOCK_CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(rules: Iterable[Rule], *, tcp: bool) -> None:
    """Hold this process to the rules from now on; with `tcp` it may neither listen nor connect. Raises OSError."""
    here = version()
    if here == 0:
        raise OSError("this kernel has no Landlock")
    handled = ALL_OF_FIRST_VERSION | sum(right for right, since in SINCE.items() if since <= here)
    asked = _Ruleset(
        handled,
        BIND_TCP | CONNECT_TCP if tcp and here >= TCP_SINCE else 0,
        SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if here >= SCOPES_SINCE else 0,
    )
    ruleset = kernel.call(kernel.LANDLOCK_CREATE_RULESET, kernel.pointer(asked), _size(here), 0)
    for rule in rules:
        _allow(ruleset, rule, handled)
    kernel.checked(kernel.LIBC.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    kernel.call(kernel.LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _size(version: int) -> int:
    """How much of the structure this kernel knows."""
    fields = 1 if version < TCP_SINCE else 2 if version < SCOPES_SINCE else 3
    return fields * ctypes.sizeof(ctypes.c_uint64)


def _allow(ruleset: int, rule: Rule, handled: int) -> None:
    try:
        parent = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # nothing to allow
    try:
        allowed = RIGHTS[rule.access] & handled
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            allowed &= ON_FILES
        beneath = kernel.pointer(_PathBeneath(allowed, parent))
        kernel.call(kernel.LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, beneath, 0)
    finally:
        os.close(parent)
