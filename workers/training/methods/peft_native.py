"""What all methods of the PEFT library share: equip, export and load through PEFT itself, with our own targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, TaskType, get_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers.pytorch_utils import Conv1D

from workers.methods.targets import is_target
from workers.protocol import JobSpec, Task
from workers.training.families import role_of
from workers.training.methods.equipping import CannotMerge, hub_name, load_base

TASKS: dict[Task, TaskType] = {
    "text-classification": TaskType.SEQ_CLS,
    "causal-lm": TaskType.CAUSAL_LM,
    "seq2seq": TaskType.SEQ_2_SEQ_LM,
}
FURTHER_HEADS = ("pre_classifier", "pooler")
"""Parts of a new classification head beside `classifier` and `score`, which PEFT itself knows to train and keep."""
COMMIT_LENGTH = 40


def equipped(network: Any, config: PeftConfig, task: Task) -> Any:
    """Adapters in fp32 whatever the base is kept in; the base frozen."""
    config.task_type = TASKS[task]
    if task == "text-classification":
        config.modules_to_save = [name for name in FURTHER_HEADS if hasattr(network, name)] or None
    model = get_peft_model(network, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            # PEFT leaves a copied head in the base's format, too coarse for small updates.
            parameter.data = parameter.data.to(torch.float32)
    return model


def targets(network: Any, roles: tuple[str, ...]) -> list[str]:
    """Full names of the linears of these roles; GPT-2's are transposed ones."""
    kind = network.config.model_type
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and is_target(role_of(kind, name), roles)
    ]


def transposed(network: Any) -> bool:
    """Whether the network keeps its linears transposed, as GPT-2 does; the config of a PEFT method must say so."""
    # In 4 bits such a linear was turned around and remembers what it was.
    return any(Conv1D in (type(module), getattr(module, "source_cls", None)) for module in network.modules())


def export_native(model: Any, folder: Path, spec: JobSpec) -> None:
    """`adapter_model.safetensors` and `adapter_config.json`, which name the base by what it is called outside."""
    name_base(model.peft_config["default"], spec)
    # Left to itself, PEFT would look the base model up on the hub to see whether its embeddings changed.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)


def name_base(config: PeftConfig, spec: JobSpec) -> None:
    """Write into the config what the base model is called outside, and its commit where it has one."""
    config.base_model_name_or_path = hub_name(spec)
    is_commit = len(spec.base_model.revision) == COMMIT_LENGTH
    config.revision = spec.base_model.revision if is_commit else None


def snippet(spec: JobSpec) -> str:
    return f"""\
{load_base(spec, imports="from peft import PeftModel" + chr(10))}\
model = PeftModel.from_pretrained(base, artifact).eval()
"""


def load(network: Any, artifact: Path) -> PeftModel:
    return PeftModel.from_pretrained(network, artifact).eval()


def merge(model: PeftModel) -> Any:
    """The base network with the delta in its weights."""
    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            # Most methods of PEFT unwrap a head only where it is a single layer.
            parent, _, own_name = name.rpartition(".")
            setattr(model.get_submodule(parent), own_name, module.modules_to_save["default"])
    return model.merge_and_unload()


def refuse_merge(reason: str) -> Any:
    """A merge that raises this sentence, for methods that are no change of weights."""

    def merge(model: Any) -> Any:
        raise CannotMerge(reason)

    return merge
