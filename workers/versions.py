"""Which versions run on this machine, told without importing any of them."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from workers.devices import driver_version

TOLD = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")
NOT_EVERYWHERE = ("bitsandbytes",)


def own_version() -> str:
    return _version("deltaboard") or "checkout"  # a plain checkout is not installed


@cache
def versions() -> dict[str, str]:
    """By name: python, system, the GPU driver, and the packages that train."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    found |= {"driver": driver_version()} | {name: _version(name) for name in TOLD}
    return {name: text[:255] for name, text in found.items() if text}


@cache
def lacks() -> tuple[str, ...]:
    """Of the packages that only some methods need: those that are not here."""
    return tuple(name for name in NOT_EVERYWHERE if not _version(name))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
