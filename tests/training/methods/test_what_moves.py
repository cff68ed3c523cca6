"""What a method that trains the base model's own parameters moves, by names written down here and nowhere else.

The matrix asks whether everything moves that a method said would train; this asks whether that was the right thing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.training.methods.cells import Cell, trained
from workers.protocol import Task

TASKS: dict[str, Task] = {"bert": "text-classification", "llama": "causal-lm", "gpt2": "causal-lm", "t5": "seq2seq"}
HEAD = r"classifier\.(weight|bias)"
NORMS = {
    "bert": rf".*\.LayerNorm\.(weight|bias)|{HEAD}",
    "llama": r"model\.(layers\.[01]\.(input_layernorm|post_attention_layernorm)|norm)\.weight",
    "gpt2": r"transformer\.(h\.[01]\.ln_[12]|ln_f)\.(weight|bias)",
    "t5": r"(en|de)coder\.(block\.[01]\.layer\.[012]\.layer_norm|final_layer_norm)\.weight",
}
ADAPTERS = {
    "bert": r"bert\.encoder\.layer\.[01]\.(attention\.)?output\.dense\.adapter\..*",
    "llama": r"model\.layers\.[01]\.(self_attn\.o_proj|mlp\.down_proj)\.adapter\..*",
    "gpt2": r"transformer\.h\.[01]\.(attn|mlp)\.c_proj\.adapter\..*",
    "t5": r"(en|de)coder\.block\.[01]\.layer\.[012]\..*\.w?o\.adapter\..*",
}


class Moved(NamedTuple):
    """Tensors that shall move: all whose whole name fits, and how many those are."""

    method: str
    options: dict[str, Any]
    architecture: str
    names: str
    tensors: int


EXPECTED = [
    Moved("full", {}, "bert", ".*", 41),
    Moved("full", {}, "llama", ".*", 20),
    Moved("full", {}, "gpt2", ".*", 28),
    Moved("full", {}, "t5", ".*", 51),
    Moved("head", {}, "bert", HEAD, 2),
    Moved("layer_norm", {}, "bert", NORMS["bert"], 10 + 2),
    Moved("layer_norm", {}, "llama", NORMS["llama"], 5),
    Moved("layer_norm", {}, "gpt2", NORMS["gpt2"], 10),
    Moved("layer_norm", {}, "t5", NORMS["t5"], 5 + 7),
    Moved("bitfit", {}, "bert", rf".*\.bias|{HEAD}", 18 + 2),
    Moved("bitfit", {}, "gpt2", r".*\.bias", 13),
    # These two have no biases of their own.
    Moved("bitfit", {}, "llama", r"model\.layers\.[01]\..*_proj\.bias", 14),
    Moved("bitfit", {}, "t5", r"(en|de)coder\.block\..*\.([qkvo]|w[io](_[01])?)\.bias", 14 + 22),
    Moved("last_k", {"k": 1}, "bert", rf"bert\.encoder\.layer\.1\..*|bert\.pooler\..*|{HEAD}", 16 + 2 + 2),
    Moved("last_k", {"k": 1}, "llama", r"model\.layers\.1\..*|model\.norm\.weight", 9 + 1),
    Moved("last_k", {"k": 1}, "gpt2", r"transformer\.h\.1\..*|transformer\.ln_f\..*", 12 + 2),
    Moved("last_k", {"k": 1}, "t5", r"decoder\.block\.1\..*|decoder\.final_layer_norm\.weight", 14 + 1),
    Moved("houlsby", {"bottleneck": 4, "train_norms": True}, "bert", f"{ADAPTERS['bert']}|{NORMS['bert']}", 16 + 12),
    Moved("houlsby", {"bottleneck": 4, "train_norms": True}, "llama", f"{ADAPTERS['llama']}|{NORMS['llama']}", 16 + 5),
    Moved("houlsby", {"bottleneck": 4, "train_norms": True}, "gpt2", f"{ADAPTERS['gpt2']}|{NORMS['gpt2']}", 16 + 10),
    Moved("houlsby", {"bottleneck": 4, "train_norms": True}, "t5", f"{ADAPTERS['t5']}|{NORMS['t5']}", 40 + 12),
]


@pytest.mark.slow
@pytest.mark.parametrize("expected", EXPECTED, ids=lambda each: f"{each.method}-{each.architecture}")
def test_exactly_these_move(expected: Moved, base_models: dict[str, Path], tmp_path: Path) -> None:
    cell = Cell(expected.architecture, TASKS[expected.architecture], expected.method, json.dumps(expected.options))
    done = trained(tmp_path, base_models[expected.architecture], cell)
    now = {name: each.detach() for name, each in done.model.named_parameters()}
    moved = {name for name, each in now.items() if not each.equal(done.attempt.before[name])}
    assert moved == {name for name in now if re.fullmatch(expected.names, name)}
    assert len(moved) == expected.tensors
