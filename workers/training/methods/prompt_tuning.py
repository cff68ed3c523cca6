"""Prompt tuning, torch half: PEFT's own, started by us (Lester et al. 2021, arXiv:2104.08691).

    logits = f([p₁ … p_P; e(x)])      p: P x d, at the start rows of the embedding table

PEFT's own start at a text would write a path of this machine into the artifact.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PromptTuningConfig, PromptTuningInit

from workers.methods.prompt_tuning import METHOD, PromptTuningOptions
from workers.training.methods.equipping import Equipment, Setting, is_empty
from workers.training.methods.peft_native import equipped, export_native, refuse_merge
from workers.training.methods.prompt_loading import snippet
from workers.training.methods.prompt_start import prompt_care, text_ids, vocabulary_ids


def equip(network: Any, options: PromptTuningOptions, setting: Setting) -> Any:
    config = PromptTuningConfig(
        num_virtual_tokens=options.length,
        prompt_tuning_init=PromptTuningInit.RANDOM,
        # In an encoder-decoder the prompt stands in front of the encoder's text alone.
        num_transformer_submodules=1,
    )
    model = equipped(network, config, setting.task)
    if options.start != "random" and not is_empty(network):
        ids = (
            text_ids(setting, options.start_text, options.length)
            if options.start == "text"
            else vocabulary_ids(setting, options.length)
        )
        prompt = model.prompt_encoder["default"].embedding.weight
        with torch.no_grad():
            prompt.copy_(model.word_embeddings.weight[torch.tensor(ids, device=prompt.device)])
    return model


EQUIPMENT = Equipment(
    equip, export_native, snippet, refuse_merge(METHOD.not_mergeable), freezes_base=True, care=prompt_care
)
