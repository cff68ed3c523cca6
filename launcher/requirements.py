"""Which packages each group of commands needs, read from pyproject.toml, and how large they are."""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from dataclasses import dataclass

from launcher.folders import ROOT

CONSTRAINTS = ROOT / "constraints.txt"


@dataclass(frozen=True)
class Group:
    """Packages that are installed together, and what is said before: sizes are measured, in megabytes on disk."""

    name: str
    title: str
    size_mb: int
    size_note: str = ""

    def packages(self) -> list[str]:
        """The requirement lines of this group in pyproject.toml."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        if self.name == "site":
            return list(project["dependencies"])
        return list(project["optional-dependencies"][self.name])

    def fingerprint(self) -> str:
        """Changes with the package list, the lock, and the minor version of Python."""
        parts = [self.packages(), CONSTRAINTS.read_text(), sys.version_info[:2]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


SITE = Group("site", "the site's packages", 340)
WORKER = Group(
    "worker", "the training packages (torch, transformers, peft)", 1200, "; several GB with a CUDA build of torch"
)
TEST = Group("test", "the test tools", 500)
PRODUCTION = Group("production", "the production packages", 40)
GROUPS = {group.name: group for group in (SITE, WORKER, TEST, PRODUCTION)}
