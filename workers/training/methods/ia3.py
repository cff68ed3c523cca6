"""IA³, torch half: PEFT's own (Liu et al. 2022, arXiv:2205.05638).

k = l_k ⊙ (W_k·x),  v = l_v ⊙ (W_v·x),  h = W_down·(l_ff ⊙ a)      every l is 1 at the start
"""

from __future__ import annotations

from typing import Any

from peft import IA3Config

from workers.methods.ia3 import BY_INPUT, Ia3Options
from workers.training.methods.equipping import Care, Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets, transposed


def equip(network: Any, options: Ia3Options, setting: Setting) -> Any:
    by_input = targets(network, (BY_INPUT,)) if BY_INPUT in options.targets else []
    config = IA3Config(
        target_modules=targets(network, options.targets),
        feedforward_modules=by_input,
        fan_in_fan_out=transposed(network),
    )
    return equipped(network, config, setting.task)


def care(name: str, options: Ia3Options) -> Care:
    """Scales are no matrices, whatever their shape: they do not decay towards zero."""
    return Care(decays=".ia3_l." not in name)


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load, care=care)
