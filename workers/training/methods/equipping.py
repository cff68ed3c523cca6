"""What the loop and the artifact need of a delta method; each method is one file beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workers.protocol import JobSpec, Task


class Equip(Protocol):
    """Gives the network its delta; afterwards exactly the trained parameters require gradients."""

    def __call__(self, network: Any, options: Any, task: Task) -> Any: ...


class Export(Protocol):
    """Writes the delta's own files into a folder. Tokenizer, card and manifest come from `artifact.py`."""

    def __call__(self, model: Any, folder: Path, spec: JobSpec) -> None: ...


class Snippet(Protocol):
    """Python lines that load the artifact with stock libraries and leave `model` and `tokenizer` behind."""

    def __call__(self, spec: JobSpec) -> str: ...


@dataclass(frozen=True)
class Equipment:
    """The torch half of one delta method."""

    equip: Equip
    export: Export
    snippet: Snippet
    freezes_base: bool
    """The base weights never change, so they may be kept in a narrow number format."""


def hub_name(spec: JobSpec) -> str:
    """How the artifact names its base model: never a path of this machine."""
    return spec.base_model.source or spec.base_model.name


def auto_class(task: Task) -> str:
    """The class of transformers that loads a base model for this task."""
    return "AutoModelForSequenceClassification" if task == "text-classification" else "AutoModelForCausalLM"
