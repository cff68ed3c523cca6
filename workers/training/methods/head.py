"""Head only, torch half: the base model is frozen, the new classification head trains."""

from __future__ import annotations

from typing import Any

from workers.methods.head import HeadOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.specifying import export, load, merge, snippet, trains


def equip(network: Any, options: HeadOptions, setting: Setting) -> Any:
    return trains(network, set(), setting.task)


# The head itself must be kept in fp32, and it is loaded with the base.
EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=False, load=load)
