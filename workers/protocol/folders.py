"""The folders of an attempt and an inspection: what the worker lays out and the trainer leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobFolder:
    """The paths of one attempt's folder. The worker writes the inputs; the trainer may write below `made` alone."""

    path: Path

    @property
    def spec(self) -> Path:
        """`JobSpec` as JSON."""
        return self.path / "spec.json"

    @property
    def dataset(self) -> Path:
        """Canonical rows, one JSON object a line."""
        return self.path / "rows.jsonl"

    @property
    def base_model(self) -> Path:
        """Folder (or link to one) with config.json, *.safetensors and tokenizer files; read-only."""
        return self.path / "base_model"

    @property
    def made(self) -> Path:
        """Everything that the trainer makes."""
        return self.path / "made"

    @property
    def checkpoints(self) -> Path:
        """`step-00000050/` folders, each complete or absent; also the one to resume from."""
        return self.made / "checkpoints"

    @property
    def artifact(self) -> Path:
        """The delta artifact, complete or absent."""
        return self.made / "artifact"

    @property
    def scratch(self) -> Path:
        """Home, temporary folder and working directory."""
        return self.made / "scratch"


MANIFEST = "manifest.json"
"""Written last into a checkpoint or artifact folder: its presence means complete."""


@dataclass(frozen=True)
class InspectionFolder:
    """The paths of one inspection's folder; as with a job, the process may write below `made` alone."""

    path: Path

    @property
    def question(self) -> Path:
        """`{"kind": …, …}` as JSON."""
        return self.path / "question.json"

    @property
    def inputs(self) -> Path:
        """What the worker fetched for the trainer to look at; read-only."""
        return self.path / "inputs"

    @property
    def made(self) -> Path:
        return self.path / "made"

    @property
    def scratch(self) -> Path:
        return self.made / "scratch"

    @property
    def output(self) -> Path:
        """Files that the inspection makes and the worker hands in."""
        return self.made / "output"

    @property
    def answer(self) -> Path:
        """The answer as JSON, written last."""
        return self.made / "answer.json"
