"""LoRA, torch half: PEFT's own LoRA on the linears that the plain half chose, the task's head trained beside it.

    h = W·x + (α/r)·B·A·x      A: r x in, Kaiming uniform; B: out x r, zero, so that step 0 equals the base model

(Hu et al. 2021, arXiv:2106.09685; with α/√r Kalajdzievski 2023, arXiv:2312.03732.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from workers.methods.lora import LoraOptions, is_target
from workers.protocol import JobSpec, Task
from workers.training.families import role_of
from workers.training.methods.equipping import Equipment, auto_class, hub_name

HEADS = ("classifier", "score", "pre_classifier")
"""Names that classification heads have in transformers."""
COMMIT_LENGTH = 40


def equip(network: Any, options: LoraOptions, task: Task) -> Any:
    """Adapters in fp32 whatever the base is kept in; the base frozen."""
    classifies = task == "text-classification"
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS if classifies else TaskType.CAUSAL_LM,
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        use_rslora=options.use_rslora,
        target_modules=targets(network, options),
        modules_to_save=[name for name in HEADS if hasattr(network, name)] if classifies else None,
    )
    model = get_peft_model(network, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            # PEFT leaves a copied head in the base's format, too coarse for small updates.
            parameter.data = parameter.data.to(torch.float32)
    return model


def targets(network: Any, options: LoraOptions) -> list[str]:
    """Full names of the linears that get a delta; GPT-2's are transposed ones."""
    kind = network.config.model_type
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and is_target(role_of(kind, name), options.targets)
    ]


def export(model: Any, folder: Path, spec: JobSpec) -> None:
    """`adapter_model.safetensors` and `adapter_config.json`, which name the base by what it is called outside."""
    config = model.peft_config["default"]
    config.base_model_name_or_path = hub_name(spec)
    is_commit = len(spec.base_model.revision) == COMMIT_LENGTH
    config.revision = spec.base_model.revision if is_commit else None
    # Left to itself, PEFT would look the base model up on the hub to see whether its embeddings changed.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)


def snippet(spec: JobSpec) -> str:
    kind = auto_class(spec.task)
    labels = ""
    if spec.task == "text-classification":
        names = dict(enumerate(spec.dataset.labels))
        labels = f", id2label={names!r}, label2id={ {name: number for number, name in names.items()}!r}"
    return f"""\
import torch
from peft import PeftModel
from transformers import AutoTokenizer, {kind}

base_model = {hub_name(spec)!r}  # a hub id or the path of a folder
artifact = "."  # the folder of this card

tokenizer = AutoTokenizer.from_pretrained(artifact)
base = {kind}.from_pretrained(base_model, dtype=torch.float32{labels})
model = PeftModel.from_pretrained(base, artifact).eval()
"""


EQUIPMENT = Equipment(equip, export, snippet, freezes_base=True)
