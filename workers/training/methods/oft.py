"""OFT, torch half: PEFT's own with the exact Cayley transform (Qiu et al. 2023, arXiv:2306.07280).

h = W·R·x      R = (I + Q)·(I - Q)⁻¹ per block, Q skew-symmetric and zero at the start
"""

from __future__ import annotations

from typing import Any

from peft import OFTConfig

from workers.methods.oft import OftOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, load, merge, snippet, targets


def equip(network: Any, options: OftOptions, setting: Setting) -> Any:
    config = OFTConfig(
        oft_block_size=options.block_size,
        use_cayley_neumann=False,
        target_modules=targets(network, options.targets),
    )
    return equipped(network, config, setting.task)


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load)
