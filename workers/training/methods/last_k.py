"""Last-k, torch half: the last blocks train, with the norm and the pooler behind them; the rest is frozen."""

from __future__ import annotations

from typing import Any

from workers.methods.last_k import LastKOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.specifying import bare_modules, export, load, merge, snippet, trains
from workers.training.shape import block_number, final_norms, is_pooler


def equip(network: Any, options: LastKOptions, setting: Setting) -> Any:
    config, bare = network.config, set(bare_modules(network))
    names = [name for name, _ in network.named_parameters()]
    blocks = {name: block_number(config, name) for name in names}
    first = max(blocks.values()) + 1 - options.k
    norms = (final_norms(config, network) & bare) if options.final_norm else set()
    chosen = {
        name
        for name in names
        if blocks[name] >= first
        or name.rpartition(".")[0] in norms
        or (options.pooler and is_pooler(name) and name.rpartition(".")[0] in bare)
    }
    return trains(network, chosen, setting.task)


EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=False, load=load)
