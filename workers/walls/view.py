"""A file system of one's own that holds the allowed paths and nothing else: no socket, home or job of anyone besides.

Needs the right to mount: root, or a user namespace. Only this process and its children see it.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from workers.walls import kernel
from workers.walls.files import SHARED_MEMORY, Access, Rule

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 0x1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
ATTR_RDONLY, ATTR_NOSUID = 0x1, 0x2
MNT_DETACH = 0x2
UNDER = "/tmp"  # noqa: S108  (covered for this process alone while the new root is built)
LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2"}
SHARED = ("read", "run")
MOST_LINKS = 40
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
"""One of the old calls, so its number depends on the machine."""


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def enter(rules: Iterable[Rule]) -> None:
    """Change to a root of the rules' paths alone; the working directory must be one of them. Raises OSError."""
    working_directory = Path.cwd()
    kernel.checked(kernel.LIBC.unshare(CLONE_NEWNS))
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    links = {link: text for rule in rules for link, text in _links_on(rule.path)}
    taken = [(path, _take(path, access)) for path, access in _needed(rules)]
    _mount("tmpfs", UNDER, b"mode=755", MS_NOSUID | MS_NODEV)
    for link, text in links.items():
        _link(_below(link), text)
    for path, tree in taken:
        _place(tree, path)
    for link, text in LINKS.items():
        _link(_below(link), text)
    _shared_memory()
    _change_root()
    os.chdir(working_directory)


def _needed(rules: Iterable[Rule]) -> list[tuple[str, Access]]:
    """Real paths, parents first; a readable one below another comes with it."""
    found: list[tuple[str, Access]] = []
    for path, access in sorted({os.path.realpath(rule.path): rule.access for rule in rules}.items()):
        within = access in SHARED and any(path.startswith(f"{other}/") for other, kind in found if kind in SHARED)
        if access != "list" and path != SHARED_MEMORY and not within:
            found.append((path, access))
    return found


def _take(path: str, access: Access) -> int:
    """A detached copy of the mounts at and below the path, read-only unless the access says otherwise."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    tree = kernel.call(kernel.OPEN_TREE, AT_FDCWD, os.fsencode(path), flags)
    read_only = access in SHARED and path != "/proc"  # a read-only /proc forbids to mount the tree's own
    wanted = _Attributes(ATTR_NOSUID | (ATTR_RDONLY if read_only else 0), 0, 0, 0)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    kernel.call(kernel.MOUNT_SETATTR, tree, b"", flags, kernel.pointer(wanted), ctypes.sizeof(wanted))
    return tree


def _place(tree: int, path: str) -> None:
    target = _below(path)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(tree).st_mode):  # the path itself may be covered by now
            target.mkdir()
        else:
            target.touch()
    kernel.call(kernel.MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)


def _links_on(path: str) -> list[tuple[str, str]]:
    """The symbolic links met on the way to a path, each with its text."""
    found: list[tuple[str, str]] = []
    at, to_go = Path("/"), list(Path(path).parts[1:])
    while to_go and len(found) < MOST_LINKS:
        name = to_go.pop(0)
        at = at.parent if name == ".." else at / name
        if at.is_symlink():
            text = str(at.readlink())
            found.append((str(at), text))
            at = Path("/") if text.startswith("/") else at.parent
            to_go = [part for part in Path(text).parts if part != "/"] + to_go
    return found


def _link(link: Path, text: str) -> None:
    if not os.path.lexists(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(text)


def _below(path: str) -> Path:
    return Path(UNDER + path)


def _shared_memory() -> None:
    """Of its own, so that it ends with the tree."""
    place = _below(SHARED_MEMORY)
    place.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", str(place), b"mode=1777", MS_NOSUID | MS_NODEV)


def _change_root() -> None:
    """The old root is put on top of the new one, then taken away."""
    os.chdir(UNDER)
    kernel.call(PIVOT_ROOT[os.uname().machine], b".", b".")
    kernel.checked(kernel.LIBC.umount2(b".", MNT_DETACH))


def _mount(kind: str | None, target: str, data: bytes | None, flags: int) -> None:
    name = kind.encode() if kind else None
    kernel.checked(kernel.LIBC.mount(name, os.fsencode(target), name, ctypes.c_ulong(flags), data))
