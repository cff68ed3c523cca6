"""Prefix tuning, torch half: PEFT's own, started by us (Li and Liang 2021, arXiv:2101.00190).

    attention(q, [P_k; k], [P_v; v]) in every block      P: P x (L·2·kv), or MLP: kv -> h -> L·2·kv with tanh

A prefix of zeros is no blank start: zero keys take their share of the attention. So it starts at the keys and values
that the base model itself has for a text. In an encoder-decoder the prefix stands in the decoder's attention to itself;
the decoder then reads the text while the encoder reads it, too.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PrefixTuningConfig
from torch import nn

from workers.methods.prefix_tuning import METHOD, PrefixTuningOptions
from workers.training.families import in_decoder, role_of
from workers.training.methods.equipping import Equipment, Setting, is_empty
from workers.training.methods.peft_native import equipped, export_native, refuse_merge
from workers.training.methods.prompt_loading import beside_the_source, prefix_snippet
from workers.training.methods.prompt_start import prompt_care, text_ids
from workers.training.shape import decoder_blocks


def equip(network: Any, options: PrefixTuningOptions, setting: Setting) -> Any:
    config = PrefixTuningConfig(
        num_virtual_tokens=options.length,
        prefix_projection=options.mlp,
        encoder_hidden_size=options.width,
        num_transformer_submodules=1,
        **decoder_sizes(network),
    )
    table = None
    if options.start == "text" and not options.mlp and not is_empty(network):
        table = text_table(network, text_ids(setting, options.start_text, options.length))
    model = equipped(network, config, setting.task)
    if setting.task == "seq2seq":
        beside_the_source(model)
    if table is not None:
        with torch.no_grad():
            model.prompt_encoder["default"].embedding.weight.copy_(table)
    return model


def decoder_sizes(network: Any) -> dict[str, int]:
    """Blocks, heads and width of keys of an encoder-decoder's decoder; PEFT would take the encoder's, or guess."""
    config = network.config
    if not config.is_encoder_decoder:
        return {}
    keys = next(
        each
        for name, each in network.named_modules()
        if in_decoder(name) and role_of(config.model_type, name) == "k" and isinstance(each, nn.Linear)
    )
    heads = getattr(config, "decoder_attention_heads", None) or config.num_attention_heads
    return {"num_layers": decoder_blocks(config), "num_attention_heads": heads, "token_dim": keys.out_features}


@torch.no_grad()
def text_table(network: Any, ids: list[int]) -> torch.Tensor:
    """P x (L·2·kv): for each token of the text, the keys and values of every block in turn."""
    was_training = network.training
    network.eval()
    inputs = torch.tensor([ids], device=network.device)
    read = {"decoder_input_ids": inputs} if network.config.is_encoder_decoder else {}
    bare = getattr(network, network.base_model_prefix, network)
    cache = bare(input_ids=inputs, use_cache=True, **read).past_key_values
    network.train(was_training)
    own = cache.self_attention_cache if read else cache
    # Each layer's keys and values: 1 x heads x P x width of a head.
    rows = [each[0].transpose(0, 1).flatten(1) for layer in own.layers for each in (layer.keys, layer.values)]
    return torch.cat(rows, dim=-1).float()


EQUIPMENT = Equipment(
    equip, export_native, prefix_snippet, refuse_merge(METHOD.not_mergeable), freezes_base=True, care=prompt_care
)
