"""Inspections of base model folders: good ones answer with facts, hostile and broken ones with a sentence."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.starter import toys
from workers.methods.shape import Shape
from workers.protocol import InspectionFolder
from workers.training.inspection import answer, main


@pytest.fixture
def hub(tmp_path: Path) -> InspectionFolder:
    """An inspection that looks at a fetched toy BERT."""
    folder = InspectionFolder(tmp_path)
    folder.question.write_text(json.dumps({"kind": "hub_base_model", "hub_id": "a/b", "revision": "v1"}))
    toys.save(folder.inputs)
    return folder


def change_config(folder: InspectionFolder, **entries: Any) -> None:
    path = folder.inputs / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def code(folder: InspectionFolder) -> str:
    """The problem's code; every problem has a sentence and a fix, and leaves no files behind."""
    problem = answer(folder)["problem"]
    assert problem["message"]
    assert problem["hint"]
    assert "Error" not in problem["message"]
    assert not folder.output.exists()
    return str(problem["code"])


def test_a_fetched_folder_is_handed_on_with_its_facts(hub: InspectionFolder) -> None:
    (hub.inputs / "revision.txt").write_text("0123abcd")
    (hub.inputs / "licence.txt").write_text("mit")
    facts = answer(hub)
    assert (facts["revision"], facts["licence"], facts["dtype"]) == ("0123abcd", "mit", "float32")
    assert (facts["architecture"], facts["tasks"]) == ("BertModel", ["text-classification"])
    assert facts["parameters"] == Shape.from_json(facts["shape"]).parameters == 35_776
    assert facts["chat_template"] is False
    names = {path.name for path in hub.output.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    transformers.AutoModelForSequenceClassification.from_pretrained(hub.output)


def test_a_registered_folder_answers_without_its_weights(tmp_path: Path) -> None:
    folder = InspectionFolder(tmp_path)
    folder.question.write_text(json.dumps({"kind": "base_model_shape"}))
    toys.save(folder.inputs, toys.LLAMA, transformers.AutoModelForCausalLM)
    (folder.inputs / "model.safetensors").unlink()
    (folder.inputs / "chat_template.jinja").write_text("{{ messages }}")
    facts = answer(folder)
    assert (facts["tasks"], facts["chat_template"]) == (["causal-lm", "text-classification"], True)
    assert (facts["dtype"], facts["model_type"]) == ("float32", "llama")


def test_by_hand_it_leaves_one_complete_answer(hub: InspectionFolder) -> None:
    subprocess.run([sys.executable, "-m", "workers.training.inspection", str(hub.path)], check=True, timeout=60)
    assert json.loads(hub.answer.read_text())["model_type"] == "bert"
    assert not list(hub.made.glob("*.unfinished"))


def test_a_problem_is_an_answer_too(hub: InspectionFolder) -> None:
    (hub.inputs / "config.json").unlink()
    main([str(hub.path)])
    assert json.loads(hub.answer.read_text())["problem"]["code"] == "basemodel.no_config"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"auto_map": {"AutoModel": "modeling.Evil"}}, "basemodel.custom_code"),
        ({"_attn_implementation_internal": "evil/kernel"}, "basemodel.custom_code"),
        ({"text_config": {"auto_map": {}}}, "basemodel.custom_code"),
        ({"trust_remote_code": True}, "basemodel.custom_code"),
        ({"backbone": "evil/model"}, "basemodel.config_reference"),
        ({"backbone": "https://evil.example/model"}, "basemodel.config_reference"),
        ({"vocab_file": "/etc/passwd"}, "basemodel.config_reference"),
        ({"vocab_file": "../../secret"}, "basemodel.config_reference"),
        ({"deep": [{"er": "evil/model"}]}, "basemodel.config_reference"),
        ({"quantization_config": {"quant_method": "gptq"}}, "basemodel.quantized"),
        ({"num_hidden_layers": 10**9}, "basemodel.config_size"),
        ({"num_hidden_layers": -1}, "basemodel.config_size"),
        ({"hidden_size": 10**12}, "basemodel.config_size"),
        ({"model_type": "nonesuch"}, "basemodel.config"),
        ({"hidden_size": "wide"}, "basemodel.config"),
        ({"hidden_size": 33}, "basemodel.architecture"),
        ({"model_type": "vit"}, "basemodel.architecture"),
    ],
)
def test_a_hostile_config_is_refused(hub: InspectionFolder, entries: dict[str, Any], expected: str) -> None:
    change_config(hub, **entries)
    assert code(hub) == expected


def test_the_name_a_config_remembers_is_dropped(hub: InspectionFolder) -> None:
    change_config(hub, _name_or_path="/home/alice/secret")
    assert "shape" in answer(hub)
    assert "alice" not in (hub.output / "config.json").read_text()


def test_pickle_weights_are_not_opened(hub: InspectionFolder) -> None:
    (hub.inputs / "model.safetensors").unlink()
    (hub.inputs / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    assert code(hub) == "basemodel.pickle_weights"


def test_a_renamed_pickle_is_no_safetensors(hub: InspectionFolder) -> None:
    (hub.inputs / "model.safetensors").write_bytes(pickle.dumps({"a": list(range(100))}))
    assert code(hub) == "basemodel.damaged"


def test_weights_of_another_model_are_noticed(hub: InspectionFolder) -> None:
    save_file({"some.weight": torch.zeros(3)}, hub.inputs / "model.safetensors")
    assert code(hub) == "basemodel.other_weights"


def test_a_folder_without_tokenizer_is_refused(hub: InspectionFolder) -> None:
    (hub.inputs / "tokenizer.json").unlink()
    assert code(hub) == "basemodel.no_tokenizer"


def test_a_tokenizer_with_code_of_its_own_is_refused(hub: InspectionFolder) -> None:
    path = hub.inputs / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoTokenizer": ["evil.Tokenizer"]}}))
    assert code(hub) == "basemodel.custom_code"


def test_a_broken_tokenizer_is_refused(hub: InspectionFolder) -> None:
    (hub.inputs / "tokenizer.json").write_text('{"model": 7}')
    assert code(hub) == "basemodel.tokenizer"


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "https://evil/x.safetensors", "weights.bin", "gone.safetensors"]
)
def test_a_shard_that_is_none_is_refused(hub: InspectionFolder, shard: str) -> None:
    (hub.inputs / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    assert code(hub) == "basemodel.damaged"


def _truncated(raw: bytes) -> bytes:
    return raw[:-4]


def _longer(raw: bytes) -> bytes:
    return raw + b"hidden"


def _huge_header(raw: bytes) -> bytes:
    return struct.pack("<Q", 2**40) + raw[8:]


def _twice(raw: bytes) -> bytes:
    header = (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    )
    return struct.pack("<Q", len(header)) + header + b"x"


def _overlapping(raw: bytes) -> bytes:
    header = (
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}'
    )
    return struct.pack("<Q", len(header)) + header + b"xxx"


@pytest.mark.parametrize("damage", [_truncated, _longer, _huge_header, _twice, _overlapping])
def test_a_hostile_header_is_refused(hub: InspectionFolder, damage: Callable[[bytes], bytes]) -> None:
    path = hub.inputs / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert code(hub) == "basemodel.damaged"


def test_half_precision_is_reported(hub: InspectionFolder) -> None:
    path = hub.inputs / "model.safetensors"
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}, path)
    assert answer(hub)["dtype"] == "bfloat16"
