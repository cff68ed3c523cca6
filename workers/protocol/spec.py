"""The spec: what a job is, frozen at launch."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workers.protocol.version import PROTOCOL

Task = Literal["text-classification", "causal-lm", "seq2seq"]


@dataclass(frozen=True)
class FileRef:
    """One file known by its content."""

    name: str
    """Path inside its folder, with forward slashes, never absolute."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class BaseModelRef:
    """The frozen network of a job."""

    id: int
    name: str
    source: str
    """Where it came from, for people: a hub id, a package, a folder's name."""
    revision: str
    """Hub commit or package version; empty for folders."""
    files: tuple[FileRef, ...]

    @property
    def sha256(self) -> str:
        return folder_sha256(self.files)


@dataclass(frozen=True)
class DatasetRef:
    """The rows of a job: one canonical JSONL file, every row with a `split` of train or eval."""

    version_id: int
    name: str
    number: int
    bytes: int
    sha256: str
    labels: tuple[str, ...] = ()
    """Classification only: label names, in the order of their ids."""


@dataclass(frozen=True)
class JobSpec:
    """Everything a training process needs to know, resolved and frozen at launch.

    `options` are those of the method (its `Options` dataclass), `training` those of
    `workers.methods.hyperparameters.Training`, both complete: nothing is defaulted later.
    """

    job_id: int
    name: str
    task: Task
    base_model: BaseModelRef
    dataset: DatasetRef
    method: str
    options: dict[str, Any]
    training: dict[str, Any]
    gpus: int = 1
    """Processes that train together, one for each GPU or CPU slot; `batch_size` counts over all of them."""
    protocol: int = PROTOCOL

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> JobSpec:
        base_model = dict(data["base_model"])
        base_model["files"] = tuple(FileRef(**file) for file in base_model["files"])
        dataset = dict(data["dataset"])
        dataset["labels"] = tuple(dataset["labels"])
        return cls(**{**data, "base_model": BaseModelRef(**base_model), "dataset": DatasetRef(**dataset)})


def folder_sha256(files: tuple[FileRef, ...] | list[FileRef]) -> str:
    """One hash for a folder: over the sorted `name sha256` lines of its files."""
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in sorted(files, key=lambda file: file.name))
    return hashlib.sha256(lines.encode()).hexdigest()
