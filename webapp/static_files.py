"""Hashed, compressed static files for production, in which ES modules still find each other."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """Rewrites `import … from "./x.js"` to the hashed names; without that, hashing breaks every module."""

    support_js_module_import_aggregation = True
