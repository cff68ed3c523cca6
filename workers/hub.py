"""Fetches a base model of the Hugging Face hub at one revision: configuration, tokenizer, safetensors, nothing else.

What the files hold is judged later, by an inspection without network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo

from workers.fetch_problem import FetchProblem, size_text
from workers.watching import Progress, Tell, run_watched

ROOT = Path(__file__).resolve().parent.parent
ANSWER_SECONDS = 8.0
WANTED = re.compile(r"[\w.-]+\.(safetensors|json|txt|model|jinja)", re.ASCII)
WHOLE_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
RESERVE_BYTES = 512 * 1024**2
NOT_SHARED = {
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Only a token that came with the question is used; plain HTTP, whose bytes arrive where they are counted."""


def fetch_hub_base_model(question: dict[str, Any], into: Path, tell: Tell) -> None:
    """Fill `into`; the commit goes to revision.txt, the licence that the hub names to licence.txt. Raises FetchProblem.

    A model named `owner/name` stays on the hub that HF_ENDPOINT names, else huggingface.co.
    """
    hub_id, token = question["hub_id"], question.get("token")
    tell(f"Looking for {hub_id} on the hub", None)
    info = _look_up(hub_id, question["revision"], token)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = wanted_files(list(sizes), hub_id)
    expected = sum(sizes[name] for name in names)
    _require_space(into, expected)
    progress = Progress(into, expected, tell)
    wanted = {
        "hub_id": hub_id,
        "revision": info.sha,
        "files": names,
        "folder": str(into),
        "token": token,
        "endpoint": os.environ.get("HF_ENDPOINT"),
    }
    environment = {**os.environ, **NOT_SHARED, "PYTHONPATH": str(ROOT), "HF_HOME": str(into / ".cache")}
    command = [sys.executable, "-m", "workers.hub_snapshot"]
    ended = run_watched(command, environment, json.dumps(wanted), progress)
    shutil.rmtree(into / ".cache", ignore_errors=True)
    if ended.code != 0:
        raise _unreachable(hub_id)
    (into / "revision.txt").write_text(info.sha or "")
    (into / "licence.txt").write_text(str(getattr(info.card_data, "license", None) or ""))


def wanted_files(names: list[str], hub_id: str) -> list[str]:
    """The files to download, none of them in a subfolder. Raises FetchProblem where there are no safetensors."""
    weights = [name for name in names if name.endswith(".safetensors") and WANTED.fullmatch(name)]
    weights = [name for name in weights if WHOLE_WEIGHTS.fullmatch(name)] or weights
    if not weights:
        raise _no_safetensors(names, hub_id)
    others = [name for name in names if WANTED.fullmatch(name) and not name.endswith(".safetensors")]
    return sorted(weights + others)


def _look_up(hub_id: str, revision: str, token: str | None) -> ModelInfo:
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token or False)
    try:
        return api.model_info(hub_id, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS)
    except GatedRepoError as error:
        raise FetchProblem(
            "basemodel.hub_gated",
            f"{hub_id} is gated: the hub gives it only to people who accepted its terms.",
            "Accept the terms on the hub and give the worker a token of that account, or choose an open model.",
        ) from error
    except RevisionNotFoundError as error:
        raise FetchProblem(
            "basemodel.hub_revision",
            f"The hub has {hub_id}, but not the revision {revision}.",
            "Copy the commit from the model's history on the hub.",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise FetchProblem(
            "basemodel.hub_unknown",
            f"The hub has no public model {hub_id}.",
            "Check the spelling, owner/name; a private model needs a token.",
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise _unreachable(hub_id) from error


def _unreachable(hub_id: str) -> FetchProblem:
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").partition("://")[2]
    return FetchProblem(
        "basemodel.hub_unreachable",
        f"The worker cannot reach the hub ({host}) to fetch {hub_id}.",
        "Give the worker's machine a way to the hub or to a mirror (HF_ENDPOINT), register a folder with the model, "
        "or install a base model of the starter catalogue.",
    )


def _no_safetensors(names: list[str], hub_id: str) -> FetchProblem:
    pickled = next((name for name in names if name.endswith(PICKLED)), None)
    if pickled:
        return FetchProblem(
            "basemodel.pickle_weights",
            f"{hub_id} has no safetensors; {pickled} is a pickle: loading it can run any code, so it is not fetched.",
            "Choose a revision with safetensors; the hub's conversion pull requests often have one.",
        )
    return FetchProblem(
        "basemodel.no_weights", f"{hub_id} holds no .safetensors file.", "Choose a repository that holds a model."
    )


def _require_space(into: Path, expected: int) -> None:
    free = shutil.disk_usage(into).free
    if free < expected + RESERVE_BYTES:
        raise FetchProblem(
            "fetch.disk_full",
            f"The download needs {size_text(expected)}, but the worker's disk has {size_text(free)} left.",
            "Free space on the worker's machine, or use another worker.",
        )
