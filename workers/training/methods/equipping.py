"""What the loop, the checkpoint and the artifact need of a delta method; each method is one file beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from workers.protocol import JobSpec, Task

AUTO_CLASSES: dict[Task, str] = {
    "text-classification": "AutoModelForSequenceClassification",
    "causal-lm": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
}
"""The class of transformers that loads a base model for a task."""


@dataclass(frozen=True)
class Setting:
    """What a method may know of the job besides its own options."""

    task: Task
    tokenizer: Any
    labels: tuple[str, ...]
    total_steps: int
    seed: int


class Equip(Protocol):
    """Gives the network its delta; afterwards exactly the trained parameters require gradients."""

    def __call__(self, network: Any, options: Any, setting: Setting) -> Any: ...


class Export(Protocol):
    """Writes the delta's own files into a folder. Tokenizer, card and manifest come from `artifact.py`."""

    def __call__(self, model: Any, folder: Path, spec: JobSpec) -> None: ...


class Snippet(Protocol):
    """Python lines that load the artifact with stock libraries and leave `model` and `tokenizer` behind."""

    def __call__(self, spec: JobSpec) -> str: ...


class Load(Protocol):
    """The network, fresh from the base model in fp32, with the delta of an artifact's folder in or around it."""

    def __call__(self, network: Any, artifact: Path) -> Any: ...


class Merge(Protocol):
    """The plain network with the delta in its weights; the loaded model is used up. Raises CannotMerge."""

    def __call__(self, model: Any) -> Any: ...


class CannotMerge(Exception):
    """The mathematics or the architecture does not allow it; the message is a sentence for people."""


@dataclass(frozen=True)
class Care:
    """How the optimizer treats one parameter."""

    rate: float = 1.0
    """Factor on the learning rate."""
    decays: bool = True
    """Weight decay applies; vectors never decay in any case."""


class CareOf(Protocol):
    """How the optimizer shall treat the parameter of this name."""

    def __call__(self, name: str, options: Any) -> Care: ...


@dataclass(frozen=True)
class Equipment:
    """The torch half of one delta method."""

    equip: Equip
    export: Export
    snippet: Snippet
    merge: Merge
    freezes_base: bool
    """The base weights never change, so they may be kept in a narrow number format."""
    load: Load | None = None
    """None where its deltas are never merged: nothing else loads one here."""
    care: CareOf = lambda name, options: Care()
    merge_before_generating: bool = False
    """Unmerged, each token costs many times as much: the card merges before it generates."""

    def penalty(self, model: Any) -> torch.Tensor | None:
        """Something to add to the loss of every step."""
        return None

    def after_step(self, model: Any, step: int) -> None:
        """Called after the optimizer's step of this number (from 1), while the gradients are still there."""

    def state(self, model: Any) -> dict[str, Any]:
        """What a checkpoint must hold besides trained parameters and optimizer: tensors and plain values."""
        return {}

    def restore(self, model: Any, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""


@dataclass(frozen=True)
class Sizes:
    """Exact counts of an equipped network; a parameter counts once, however often it is used."""

    trainable: int
    total: int
    """The base model, the task's head and what the delta adds, without the copies that libraries keep."""


def sizes(before: dict[str, nn.Parameter], model: nn.Module) -> Sizes:
    """`before` are the network's parameters before it was equipped."""
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    own = {id(each) for each in before.values()}
    added = {
        name: each
        for name, each in trained.items()
        # A library may train a copy of the task's head in place of the head itself.
        if id(each) not in own and ".modules_to_save." not in name
    }
    base = sum(map(elements, before.values()))
    return Sizes(sum(map(elements, trained.values())), base + sum(map(elements, added.values())))


def elements(parameter: nn.Parameter) -> int:
    """How many numbers it holds; in 4 bits, two share a byte."""
    packed = getattr(parameter, "quant_state", None)
    return int(packed.shape.numel()) if packed is not None else parameter.numel()


def is_empty(network: nn.Module) -> bool:
    """Whether the network has no weights: equipped only to be counted, it gets no start values from them."""
    return any(each.is_meta for each in network.parameters())


def head_names(network: Any) -> set[str]:
    """Names of the parameters of a classification head: all that stands outside the bare network."""
    bare = {id(each) for each in getattr(network, network.base_model_prefix).parameters()}
    return {name for name, each in network.named_parameters() if id(each) not in bare}


def only_trains(network: Any, names: set[str]) -> Any:
    """Freezes all but these parameters."""
    for name, each in network.named_parameters():
        each.requires_grad_(name in names)
    return network


def trained_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The trained parameters by name, ready to be stored."""
    return {name: each.detach().cpu().contiguous() for name, each in model.named_parameters() if each.requires_grad}


def hub_name(spec: JobSpec) -> str:
    """How the artifact names its base model: never a path of this machine."""
    return spec.base_model.source or spec.base_model.name


def load_base(spec: JobSpec, imports: str = "") -> str:
    """The first lines of every snippet: imports, names, tokenizer and the frozen base model as `base`."""
    kind = AUTO_CLASSES[spec.task]
    classifies = spec.task == "text-classification"
    labels = f"labels = {list(spec.dataset.labels)!r}\n" if classifies else ""
    given = ", id2label=dict(enumerate(labels))" if classifies else ""
    return f"""\
{imports}import torch
from transformers import AutoTokenizer, {kind}

base_model = {hub_name(spec)!r}  # a hub id or the path of a folder
artifact = "."  # the folder of this card
{labels}
tokenizer = AutoTokenizer.from_pretrained(artifact)
base = {kind}.from_pretrained(base_model, dtype=torch.float32{given})
"""
