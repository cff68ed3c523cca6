"""LoHa, torch half: PEFT's own (Hyeon-Woo et al. 2022, arXiv:2108.06098).

h = W·x + (α/r)·((B₁·A₁) ⊙ (B₂·A₂))·x      one factor zero at the start, so that step 0 equals the base model
"""

from __future__ import annotations

from typing import Any

from peft import LoHaConfig

from workers.methods.loha import LohaOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets


def equip(network: Any, options: LohaOptions, setting: Setting) -> Any:
    config = LoHaConfig(r=options.rank, alpha=options.alpha, target_modules=targets(network, options.targets))
    return equipped(network, config, setting.task)


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load, merge_before_generating=True)
