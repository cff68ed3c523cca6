"""Linux system calls that Python has no function for, by number; a failed one raises OSError."""

from __future__ import annotations

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)

# The same numbers on x86-64, arm64 and riscv64: calls since Linux 5.1 have one number for all.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def call(number: int, *arguments: int | bytes | ctypes.c_void_p | None) -> int:
    """`syscall(2)`; what it returns."""
    return checked(int(LIBC.syscall(ctypes.c_long(number), *(_wide(each) for each in arguments))))


def checked(result: int) -> int:
    """The result of a C function that says -1 for an error. Raises OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def pointer(structure: ctypes.Structure) -> ctypes.c_void_p:
    return ctypes.cast(ctypes.pointer(structure), ctypes.c_void_p)


def _wide(argument: int | bytes | ctypes.c_void_p | None) -> object:
    """Integers as 64 bits: ctypes passes them as 32 otherwise."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
