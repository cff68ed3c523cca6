"""Houlsby adapter, torch half: two bottlenecks in every block (Houlsby et al. 2019, arXiv:1902.00751).

h <- h + s·(U·gelu(D·h + b₁) + b₂)      behind the output projections of attention and feed-forward network
"""

from __future__ import annotations

from typing import Any

from workers.methods.houlsby import METHOD, ROLES_BEFORE, HoulsbyOptions
from workers.training.methods.bottlenecks import equipped, export, snippet
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.layer_norm import norm_names
from workers.training.methods.peft_native import refuse_merge


def equip(network: Any, options: HoulsbyOptions, setting: Setting) -> Any:
    norms = norm_names(network) if options.train_norms else set()
    return equipped(network, ROLES_BEFORE, options.bottleneck, options.scale, norms, setting)


EQUIPMENT = Equipment(equip, export, snippet, refuse_merge(METHOD.not_mergeable), freezes_base=False)
