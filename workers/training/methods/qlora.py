"""QLoRA, torch half: LoRA on a base in nf4 (Dettmers et al. 2023, arXiv:2305.14314).

    h = nf4(W)·x + (α/r)·B·A·x      the base was loaded in 4 bits by `base_model`; B zero, so step 0 equals that base

Never merged into 4 bits, where the delta would drown in rounding: a merge loads the artifact onto the base in fp32.
"""

from __future__ import annotations

from typing import Any

from peft import LoraConfig

from workers.methods.qlora import QloraOptions
from workers.protocol import JobSpec
from workers.training.methods.equipping import Equipment, Setting, load_base
from workers.training.methods.peft_native import equipped, export_native, load, merge, targets, transposed


def equip(network: Any, options: QloraOptions, setting: Setting) -> Any:
    for module in network.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # On some CPUs an evaluation would repack the weights for speed, and training would go on with other ones.
            # The card's code turns it off, too: it would answer otherwise than what was trained.
            module.support_avx512bf16_for_cpu = False
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        # In 4 bits no linear is transposed any more, but the artifact must also fit the whole base model.
        fan_in_fan_out=transposed(network),
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
    repacking = """for layer in base.modules():
    if hasattr(layer, "support_avx512bf16_for_cpu"):
        layer.support_avx512bf16_for_cpu = False  # as in training: no rounding of the weights to bf16
"""
    return f"{loaded}{repacking}model = PeftModel.from_pretrained(base, artifact).eval()\n"


EQUIPMENT = Equipment(equip, export_native, snippet, merge, freezes_base=True, load=load)
