"""Which files a training or inspection may see, and how: everything else of the machine is none of its business."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

REPOSITORY = Path(__file__).parents[2]

Access = Literal["list", "read", "run", "device", "write"]
"""`list`: the names in a folder; `device`: read, write and control; `write`: all but run programs and make devices."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/sys", "/proc")
ETC = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "passwd",
    "group",
    "nsswitch.conf",
    "hosts",
    "host.conf",
    "localtime",
    "timezone",
)
"""Libraries, names of users, the address of localhost, the clock."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SHARED_MEMORY = "/dev/shm"  # noqa: S108  (data loaders pass tensors through it)
ENVIRONMENT_PATHS = ("LD_LIBRARY_PATH", "CUDA_HOME")


class Rule(NamedTuple):
    """One path and what may be done below it."""

    path: str
    access: Access


def rules(command: Iterable[str], writable: Path, *, cuda: bool) -> list[Rule]:
    """Every rule for one tree: the Python environment, this code, the paths that the command names, what it may write.

    Only paths that exist; a rule for a parent stands before those for its children.
    """
    made = [Rule(path, "run") for path in {*SYSTEM, *_python(), *_named_by_environment()}]
    made += [Rule(f"/etc/{name}", "read") for name in ETC]
    made += [Rule(str(REPOSITORY), "list"), Rule(str(REPOSITORY / "workers"), "read")]
    made += [Rule(word, "read" if Path(word).is_dir() else "run") for word in command if word.startswith("/")]
    made += [Rule(path, "device") for path in (*DEVICES, *(_gpus() if cuda else ()))]
    made += [Rule(SHARED_MEMORY, "write"), Rule(str(writable), "write")]
    return sorted((rule for rule in made if Path(rule.path).exists()), key=lambda rule: rule.path)


def _python() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix)
    yield from (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    if site.ENABLE_USER_SITE:
        yield site.getusersitepackages()


def _named_by_environment() -> Iterator[str]:
    """Folders of libraries that the worker passes on. Only full paths of some depth: `/` is none."""
    for name in ENVIRONMENT_PATHS:
        for path in os.environ.get(name, "").split(":"):
            if path.startswith("/") and path.strip("/"):
                yield os.path.normpath(path)


def _gpus() -> list[str]:
    """Device nodes of NVIDIA's driver; which of the cards is used, CUDA_VISIBLE_DEVICES says."""
    return [str(path) for path in Path("/dev").glob("nvidia*")]
