"""Pfeiffer adapter, torch half: one bottleneck in every block (Pfeiffer et al. 2021, arXiv:2005.00247).

h <- h + s·(U·gelu(D·h + b₁) + b₂)      behind the output projection of the feed-forward network
"""

from __future__ import annotations

from typing import Any

from workers.methods.pfeiffer import METHOD, ROLES_BEFORE, PfeifferOptions
from workers.training.methods.bottlenecks import equipped, export, snippet
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import refuse_merge


def equip(network: Any, options: PfeifferOptions, setting: Setting) -> Any:
    norms: set[str] = set()
    return equipped(network, ROLES_BEFORE, options.bottleneck, options.scale, norms, setting)


EQUIPMENT = Equipment(equip, export, snippet, refuse_merge(METHOD.not_mergeable), freezes_base=False)
