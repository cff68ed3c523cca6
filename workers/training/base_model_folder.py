"""Looks at a base model folder as at a stranger's: decides from names, JSON and headers whether it may be loaded.

Nothing here loads weights or code; what the network looks like is read by `shape`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARD = re.compile(r"^[\w.-]+\.safetensors$", re.ASCII)
WANTED = re.compile(r"^[\w.-]+\.(safetensors|json|txt|model|jinja)$", re.ASCII)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".joblib", ".h5", ".keras", ".msgpack")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
SHARD_INDEX = "model.safetensors.index.json"
CODE_KEYS = ("auto_map", "custom_pipelines", "trust_remote_code")
HUB_ID_OR_PATH = re.compile(r"^(\w+://\S+|~?/\S*|\.\.?/\S*|[\w.-]+/[\w.-]+)$")
NAME_KEYS = ("_name_or_path", "name_or_path")
MAX_HEADER_BYTES = 100 * 1024 * 1024
MAX_BLOCKS = 1_000
MAX_WIDTH = 10_000_000
ELEMENT_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16}
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class InspectionProblem(Exception):
    """What was looked at cannot be used: a code, a sentence with the place and the reason, and the fix."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


@dataclass(frozen=True)
class Weights:
    """What the headers of the weight files say."""

    names: frozenset[str]
    dtype: str
    """The number format of most of the bytes; empty without weights."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the folder. Raises InspectionProblem."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path.name, "it is not JSON") from error
    if not isinstance(value, dict):
        raise _damaged(path.name, "it holds no JSON object")
    return value


def check_folder(folder: Path, *, with_weights: bool) -> Weights:
    """Everything that must be true before the folder is loaded. Raises InspectionProblem."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if "config.json" not in names:
        raise InspectionProblem(
            "basemodel.no_config", "There is no config.json.", "Give the folder that save_pretrained wrote."
        )
    check_config(read_json(folder / "config.json"))
    if not set(TOKENIZERS) & set(names):
        raise InspectionProblem(
            "basemodel.no_tokenizer",
            "There is no tokenizer beside the config.",
            "Save the tokenizer into the same folder: tokenizer.save_pretrained(folder).",
        )
    for name in names:
        if name.endswith(".json") and name not in ("config.json", "tokenizer.json", "vocab.json"):
            _refuse_code(name, read_json(folder / name))
    _check_shards(folder, names, with_weights=with_weights)
    return _weights(folder, names) if with_weights else Weights(frozenset(), "")


def weight_files(names: list[str]) -> list[str]:
    """The weight files that count: `model*.safetensors` where there are any, else all; never other formats."""
    every = [name for name in names if SHARD.match(name)]
    whole = [name for name in every if re.match(r"^model(-\d+-of-\d+)?\.safetensors$", name)]
    return whole or every


def check_config(config: dict[str, Any]) -> None:
    """Refuse a config.json that names code, addresses or other models, or sizes that no model has."""
    _refuse_code("config.json", config)
    for key, value in _entries(config):
        if isinstance(value, str) and key not in NAME_KEYS and HUB_ID_OR_PATH.match(value):
            raise InspectionProblem(
                "basemodel.config_reference",
                f"config.json points elsewhere: `{key[:60]}` is an address, a path or another model's id.",
                "Remove this entry from config.json; a base model consists of its own files only.",
            )
    if "quantization_config" in config:
        raise InspectionProblem(
            "basemodel.quantized",
            "These weights are stored quantised (config.json has `quantization_config`).",
            "Use the unquantised model; a job can keep it in fewer bits while it trains.",
        )
    _check_sizes(config)


def _check_sizes(config: dict[str, Any]) -> None:
    for key, value in _entries(config):
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        blocks = key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers") or key.endswith("coder_layers")
        if blocks and not 0 < value <= MAX_BLOCKS:
            raise InspectionProblem(
                "basemodel.config_size", f"config.json says `{key}` is {value:,}.", f"It is 1 to {MAX_BLOCKS:,}."
            )
        if abs(value) > MAX_WIDTH and key.endswith(("_size", "_dim", "_model", "_embd", "_ff", "heads", "_head")):
            raise InspectionProblem(
                "basemodel.config_size",
                f"config.json says `{key}` is {value:,}.",
                f"It is at most {MAX_WIDTH:,}.",
            )


def _refuse_code(file: str, value: dict[str, Any]) -> None:
    for key, _ in _entries(value):
        if key in CODE_KEYS or key.endswith("_internal"):
            raise InspectionProblem(
                "basemodel.custom_code",
                f"{file} wants code of its own to be run: it has the entry `{key[:60]}`.",
                "Use a model whose architecture is part of transformers; a base model's own code is never run.",
            )


def _entries(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All entries at any depth, with the nearest name."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, each
            yield from _entries(each, name)
    elif isinstance(value, list):
        for each in value:
            yield key, each
            yield from _entries(each, key)


def _check_shards(folder: Path, names: list[str], *, with_weights: bool) -> None:
    if SHARD_INDEX in names:
        shards = read_json(folder / SHARD_INDEX).get("weight_map")
        listed = set(shards.values()) if isinstance(shards, dict) else {None}
        for shard in sorted(map(str, listed)):
            if not SHARD.match(shard):
                raise _damaged(SHARD_INDEX, f"`{shard[:80]}` is no name of a safetensors file")
            if with_weights and shard not in names:
                raise _damaged(SHARD_INDEX, f"it lists {shard}, which is missing")
    if with_weights and not weight_files(names):
        raise no_weights(names)


def no_weights(names: list[str]) -> InspectionProblem:
    """Why a folder or repository without safetensors is not taken."""
    pickled = next((name for name in names if name.endswith(PICKLED)), None)
    if pickled:
        return InspectionProblem(
            "basemodel.pickle_weights",
            f"{pickled[:80]} is a pickle: loading it can run any code, so it is not opened.",
            "Save the weights as safetensors: model.save_pretrained(folder, safe_serialization=True).",
        )
    return InspectionProblem(
        "basemodel.no_weights", "There is no .safetensors file.", "Give the folder that save_pretrained wrote."
    )


def _weights(folder: Path, names: list[str]) -> Weights:
    found: set[str] = set()
    bytes_by_dtype: Counter[str] = Counter()
    for name in weight_files(names):
        for tensor, entry in read_header(folder / name).items():
            if tensor in found:
                raise _damaged(name, f"the tensor `{tensor[:80]}` stands in two files")
            found.add(tensor)
            start, end = entry["data_offsets"]
            bytes_by_dtype[entry["dtype"]] += end - start
    dtype = bytes_by_dtype.most_common(1)[0][0] if found else ""
    return Weights(frozenset(found), DTYPES.get(dtype, dtype.lower()))


def read_header(path: Path) -> dict[str, Any]:
    """The checked header of a safetensors file: {tensor: {dtype, shape, data_offsets}}.

    Raises InspectionProblem where it is too long, names a tensor twice, or its tensors overlap, leave gaps or end
    outside the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise _damaged(path.name, "its header does not fit into the file")
        raw = file.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_without_repeats)
        header.pop("__metadata__", None)
        _check_offsets(header, size - 8 - length)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path.name, f"its header is wrong ({str(error)[:80]})") from error
    return dict(header)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _check_offsets(header: dict[str, Any], data_bytes: int) -> None:
    place = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = entry["data_offsets"]
        elements = 1
        for dimension in entry["shape"]:
            elements *= dimension
        bits = ELEMENT_BITS.get(entry["dtype"], 8)
        if start != place or end < start or (end - start) * 8 != elements * bits:
            raise ValueError(f"the place of {name[:40]!r} does not fit")
        place = end
    if place != data_bytes:
        raise ValueError("tensors end at another place than the file")


def _damaged(file: str, reason: str) -> InspectionProblem:
    return InspectionProblem(
        "basemodel.damaged", f"{file[:80]} cannot be used: {reason}.", "Fetch or save the base model again."
    )
