"""A network as a method equips it, untrained, beside the base model that it started from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.training import toys
from workers.methods import find_method
from workers.methods.options import Options
from workers.protocol import Task
from workers.training import base_model
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import Setting


@dataclass
class Started:
    """Both networks, in evaluation mode, and some input for them."""

    plain: Any
    model: Any
    options: Options
    inputs: dict[str, torch.Tensor]

    def logits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the base model and of the equipped one."""
        with torch.no_grad():
            return self.plain(**self.inputs).logits, self.model(**self.inputs).logits


def started(folder: Path, method: str, task: Task, options: dict[str, Any]) -> Started:
    labels = ("no", "yes") if task == "text-classification" else ()
    setting = Setting(task, base_model.load_tokenizer(folder), labels, total_steps=10, seed=17)
    inputs = dict(setting.tokenizer("the film was good", return_tensors="pt"))
    if task == "seq2seq":
        inputs["decoder_input_ids"] = torch.tensor([[0, 5, 6]])
    plain = toys.network(folder, task, labels).eval()
    chosen = find_method(method).options.from_json(options)
    model = EQUIPMENT[method].equip(toys.network(folder, task, labels), chosen, setting).eval()
    return Started(plain, model, chosen, inputs)
