"""A job's config as text to take along: a tree of keys as YAML, and the call that queues the same job again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from webapp.jobs.models import Job

PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z_][a-z0-9_]*")
"""Keys that need no quotes: YAML reads some words as yes, no or nothing."""
UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""JSON has them as they are; YAML breaks the line there, or refuses them: a label or a name may hold one."""


def as_yaml(tree: dict[str, Any]) -> str:
    """Values stand as JSON, which YAML reads: so no text is ever taken for a number or a date."""
    return "\n".join(_lines(tree, "")) + "\n"


def _lines(tree: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in tree.items():
        name = key if PLAIN.fullmatch(key) else _quoted(key)
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {_value(value)}"


def _value(value: Any) -> str:
    """A number such as 1e-05 gets the point without which older readers of YAML take it for a text."""
    text = _quoted(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def _quoted(value: Any) -> str:
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def as_command(job: Job, address: str) -> str:
    """For a shell; `address` is that of the API's jobs. The token is the reader's own, from the environment."""
    body: dict[str, Any] = {
        "base_model": job.base_model_id,
        "dataset_version": job.dataset_version_id,
        "method": job.method,
        "name": job.name,
        **{part: job.spec.get(part, {}) for part in ("options", "training")},
        "pool": job.pool,
        "gpus": job.gpus,
    }
    lines = (
        f"curl {shlex.quote(address)}",
        '-H "Authorization: Bearer $DELTABOARD_TOKEN"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}",
    )
    return " \\\n  ".join(lines) + "\n"
