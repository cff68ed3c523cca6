"""Full fine-tuning, torch half: every parameter trains, and the artifact is a whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workers.methods.full import METHOD, FullOptions
from workers.protocol import JobSpec
from workers.training.methods.equipping import AUTO_CLASSES, Equipment, Setting
from workers.training.methods.peft_native import refuse_merge


def equip(network: Any, options: FullOptions, setting: Setting) -> Any:
    """Nothing is added; never through PEFT, which would keep a second copy of the weights."""
    return network.requires_grad_(True)


def export(model: Any, folder: Path, spec: JobSpec) -> None:
    """`model.safetensors` and `config.json`, which names the labels."""
    model.config._name_or_path = ""
    model.save_pretrained(folder)


def snippet(spec: JobSpec) -> str:
    kind = AUTO_CLASSES[spec.task]
    return f"""\
import torch
from transformers import AutoTokenizer, {kind}

artifact = "."  # the folder of this card

tokenizer = AutoTokenizer.from_pretrained(artifact)
model = {kind}.from_pretrained(artifact, dtype=torch.float32).eval()
"""


EQUIPMENT = Equipment(equip, export, snippet, refuse_merge(METHOD.not_mergeable), freezes_base=False)
