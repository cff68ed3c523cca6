"""A network as a method equips it, untrained, beside the base model that it started from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from tests.training import toys
from workers.methods import find_method
from workers.methods.options import Options
from workers.protocol import Task
from workers.training import base_model
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import Setting

QUERIES = {"bert": "bert.encoder.layer.1.attention.self.query", "gpt2": "transformer.h.1.attn.c_attn"}
"""A linear that `q` means in each; GPT-2 keeps it transposed, and fused with keys and values."""
TASKS: dict[str, Task] = {"bert": "text-classification", "gpt2": "causal-lm"}


@dataclass
class Started:
    """Both networks, in evaluation mode, and some input for them."""

    plain: Any
    model: Any
    options: Options
    setting: Setting
    inputs: dict[str, torch.Tensor]

    def logits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the base model and of the equipped one."""
        with torch.no_grad():
            return self.plain(**self.inputs).logits, self.model(**self.inputs).logits

    def trained_names(self) -> set[str]:
        return {name for name, each in self.model.named_parameters() if each.requires_grad}

    @torch.no_grad()
    def move(self) -> None:
        """All that trains goes away from where it started."""
        for each in self.model.parameters():
            if each.requires_grad:
                each.add_(torch.randn_like(each))

    def layers(self, name: str) -> tuple[Any, Any]:
        """This layer of the base model, and of the equipped one."""
        own = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        return self.plain.get_submodule(name), own.get_submodule(name)

    def matrices(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """As `layers`, but outputs x inputs: what they do to their inputs, however they keep or make their weights."""
        plain, equipped = self.layers(name)
        return matrix_of(plain), matrix_of(equipped)


@torch.no_grad()
def matrix_of(layer: Any, inputs: int = toys.WIDTH) -> torch.Tensor:
    matrix: torch.Tensor = layer(torch.eye(inputs)) - layer(torch.zeros(1, inputs))
    return matrix.T


def started(folder: Path, method: str, task: Task, options: dict[str, Any]) -> Started:
    labels = ("no", "yes") if task == "text-classification" else ()
    setting = Setting(task, base_model.load_tokenizer(folder), labels, total_steps=10, seed=17)
    inputs = dict(setting.tokenizer("the film was good", return_tensors="pt"))
    if task == "seq2seq":
        inputs["decoder_input_ids"] = torch.tensor([[0, 5, 6]])
    plain = toys.network(folder, task, labels).eval()
    chosen = find_method(method).options.from_json(options)
    model = EQUIPMENT[method].equip(toys.network(folder, task, labels), chosen, setting).eval()
    return Started(plain, model, chosen, setting, inputs)
