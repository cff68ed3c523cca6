"""DoRA, torch half: PEFT's LoRA with a learnt length for each weight vector (Liu et al. 2024, arXiv:2402.09353).

    h = m·(W + s·B·A)·x / ‖W + s·B·A‖      m starts at ‖W‖ and B at zero, so that step 0 equals the base model

The norm is taken anew at every call, so a delta that generates text is merged first.
"""

from __future__ import annotations

from typing import Any

from peft import LoraConfig

from workers.methods.dora import DoraOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets, transposed


def equip(network: Any, options: DoraOptions, setting: Setting) -> Any:
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        use_dora=True,
        fan_in_fan_out=transposed(network),
        target_modules=targets(network, options.targets),
    )
    return equipped(network, config, setting.task)


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load, merge_before_generating=True)
