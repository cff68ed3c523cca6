"""LoKr, torch half: PEFT's own (Edalati et al. 2022, arXiv:2212.10650).

h = W·x + (α/r)·(C ⊗ (B·A))·x      C zero at the start, so that step 0 equals the base model
"""

from __future__ import annotations

from typing import Any

from peft import LoKrConfig

from workers.methods.lokr import LokrOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets


def equip(network: Any, options: LokrOptions, setting: Setting) -> Any:
    config = LoKrConfig(r=options.rank, alpha=options.alpha, target_modules=targets(network, options.targets))
    return equipped(network, config, setting.task)


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load, merge_before_generating=True)
