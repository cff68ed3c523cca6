"""Hashed, compressed static files for production, in which our ES modules still find each other."""

from __future__ import annotations

from collections.abc import Callable
from re import Match
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

OUR_MODULES = "js/"


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """Rewrites `import … from "./x.js"` to the hashed names; without that, hashing breaks every module.

    Scripts of packages are left as they are: some name modules that only a bundler finds.
    """

    support_js_module_import_aggregation = True

    def url_converter(self, name: str, *args: Any, **kwargs: Any) -> Callable[[Match[str]], str]:
        if name.endswith(".js") and not name.startswith(OUR_MODULES):
            return lambda found: found[0]
        converter: Callable[[Match[str]], str] = super().url_converter(name, *args, **kwargs)
        return converter
