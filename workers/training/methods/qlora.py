"""QLoRA, torch half: LoRA on a base in nf4 (Dettmers et al. 2023, arXiv:2305.14314).

    h = nf4(W)·x + (α/r)·B·A·x      the base was loaded in 4 bits by `base_model`; B zero, so step 0 equals that base

Never merged into 4 bits, where the delta would drown in rounding: merging loads the base anew in full precision.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from workers.methods.qlora import QloraOptions
from workers.protocol import JobSpec
from workers.training.methods.equipping import Equipment, Setting, load_base
from workers.training.methods.peft_native import equipped, export_native, merge, targets


def equip(network: Any, options: QloraOptions, setting: Setting) -> Any:
    for module in network.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # On some CPUs an evaluation would repack the weights for speed, and training would go on with other ones.
            module.support_avx512bf16_for_cpu = False
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets(network, options.targets),
    )
    return equipped(network, config, setting.task)


def snippet(spec: JobSpec) -> str:
    loaded = load_base(spec, imports="from peft import PeftModel" + chr(10))
    quantised = """\
four_bits = BitsAndBytesConfig(  # leave it out to load and merge in full precision
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.float32,
    llm_int8_skip_modules=["classifier", "score", "pre_classifier", "lm_head"],
)
base = """
    loaded = loaded.replace("import AutoTokenizer", "import AutoTokenizer, BitsAndBytesConfig", 1)
    loaded = loaded.replace("base = ", quantised, 1)
    loaded = loaded.replace("(base_model, ", "(base_model, quantization_config=four_bits, ", 1)
    return f"{loaded}model = PeftModel.from_pretrained(base, artifact).eval()\n"


def merge_in_full_precision(model: Any) -> Any:
    """The base loaded anew in fp32, with the trained delta and head in it."""
    quantised = model.get_base_model()
    config = quantised.config
    plain_config = type(config).from_dict(
        {key: value for key, value in config.to_dict().items() if key != "quantization_config"}
    )
    plain = type(quantised).from_pretrained(
        config._name_or_path, config=plain_config, dtype=torch.float32, local_files_only=True
    )
    fresh = get_peft_model(plain, model.peft_config["default"])
    set_peft_model_state_dict(fresh, get_peft_model_state_dict(model, save_embedding_layers=False))
    return merge(fresh)


EQUIPMENT = Equipment(equip, export_native, snippet, merge_in_full_precision, freezes_base=True)
