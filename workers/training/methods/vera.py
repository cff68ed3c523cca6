"""VeRA, torch half: PEFT's own, with the random matrices stored in the artifact (arXiv:2310.11454).

h = W·x + Λ_b·B·Λ_d·A·x      A, B random, frozen, shared by all layers; b zero and d = 0.1 at the start
"""

from __future__ import annotations

from typing import Any

from peft import VeraConfig

from workers.methods.vera import VeraOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets, transposed


def equip(network: Any, options: VeraOptions, setting: Setting) -> Any:
    config = VeraConfig(
        r=options.rank,
        vera_dropout=options.dropout,
        projection_prng_key=setting.seed,
        save_projection=True,
        fan_in_fan_out=transposed(network),
        target_modules=targets(network, options.targets),
    )
    return equipped(network, config, setting.task)


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load)
