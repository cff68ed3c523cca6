"""What the methods that train chosen parameters of the base model itself share: choose, store, load, merge.

The artifact holds these parameters as they are after training; there is nothing to add up, so whoever loads them gets
the trained network bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from workers.protocol import JobSpec, Task
from workers.training.methods.equipping import head_names, load_base, only_trains, trained_tensors

DELTA = "delta.safetensors"


def trains(network: Any, chosen: set[str], task: Task) -> Any:
    """Exactly these parameters train, and a classification head."""
    return only_trains(network, chosen | (head_names(network) if task == "text-classification" else set()))


def bare_modules(network: Any) -> dict[str, Any]:
    """The modules of the network by their full names, without the task's head and a language model's output layer."""
    output = network.get_output_embeddings()
    bare = {id(each) for each in getattr(network, network.base_model_prefix, network).modules()}
    return {name: each for name, each in network.named_modules() if id(each) in bare and each is not output}


def export(model: Any, folder: Path, spec: JobSpec) -> None:
    """The trained parameters under the names that they have in the base model."""
    save_file(trained_tensors(model), folder / DELTA, metadata={"format": "pt"})


def snippet(spec: JobSpec) -> str:
    return f"""\
{load_base(spec, imports="from safetensors.torch import load_file" + chr(10))}
for name, value in load_file(f"{{artifact}}/{DELTA}").items():
    module, _, kind = name.rpartition(".")
    setattr(base.get_submodule(module), kind, torch.nn.Parameter(value, requires_grad=False))
model = base.eval()
"""


def load(network: Any, artifact: Path) -> Any:
    for name, value in load_file(artifact / DELTA).items():
        module, _, kind = name.rpartition(".")
        setattr(network.get_submodule(module), kind, nn.Parameter(value, requires_grad=False))
    return network.eval()


def merge(model: Any) -> Any:
    """The trained parameters stand in the network already."""
    return model
