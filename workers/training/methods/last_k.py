"""Last-k, torch half: the last blocks train, and what stands behind them as far as it is wished; the rest is frozen."""

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
    output = output_names(network) if options.head else set()
    chosen = output | {
        name
        for name in names
        if blocks[name] >= first
        or name.rpartition(".")[0] in norms
        or (options.pooler and is_pooler(name) and name.rpartition(".")[0] in bare)
    }
    return trains(network, chosen, setting.task)


def output_names(network: Any) -> set[str]:
    """Names of the parameters of a language model's output layer; of one that is the table of embeddings, none."""
    output, embeddings = network.get_output_embeddings(), network.get_input_embeddings().weight
    if output is None or output.weight is embeddings:
        return set()
    own = {id(each) for each in output.parameters()}
    return {name for name, each in network.named_parameters() if id(each) in own}


EQUIPMENT = Equipment(equip, export, snippet, merge, freezes_base=False, load=load)
