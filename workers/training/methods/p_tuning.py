"""P-tuning, torch half: PEFT's prompt encoder with an MLP (Liu et al. 2021, arXiv:2103.10385).

    logits = f([MLP(p₁) … MLP(p_P); e(x)])      MLP: d -> h -> h -> d with ReLU

Only the resulting P x d table is handed in; the MLP lives in our checkpoints.
"""

from __future__ import annotations

from typing import Any

from peft import PromptEncoderConfig, PromptEncoderReparameterizationType

from workers.methods.p_tuning import METHOD, PTuningOptions
from workers.training.methods.equipping import Equipment, Setting
from workers.training.methods.peft_native import equipped, export_native, refuse_merge
from workers.training.methods.prompt_loading import snippet
from workers.training.methods.prompt_start import prompt_care


def equip(network: Any, options: PTuningOptions, setting: Setting) -> Any:
    config = PromptEncoderConfig(
        num_virtual_tokens=options.length,
        encoder_reparameterization_type=PromptEncoderReparameterizationType.MLP,
        encoder_hidden_size=options.width,
        num_transformer_submodules=1,
    )
    return equipped(network, config, setting.task)


EQUIPMENT = Equipment(
    equip, export_native, snippet, refuse_merge(METHOD.not_mergeable), freezes_base=True, care=prompt_care
)
