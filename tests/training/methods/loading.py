"""Loads artifacts by their cards' own code: in one process for all tests that want it, or right here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.methods.cells import Trained
from workers.protocol import JobSpec
from workers.training import base_model
from workers.training.methods import EQUIPMENT

SERVER = Path(__file__).with_name("loading_server.py")
LoadByCard = Callable[[Trained, Path], torch.Tensor]


@pytest.fixture(scope="session")
def load_by_card() -> Iterator[LoadByCard]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [sys.executable, "-P", str(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        env=clean,
        text=True,
    )

    def load(cell: Trained, folder: Path) -> torch.Tensor:
        assert process.stdin is not None
        assert process.stdout is not None
        save_file({name: each.contiguous() for name, each in cell.inputs.items()}, folder / "inputs.safetensors")
        # Without the lines that show how to use it: they would make up words with a random network.
        code = re.split(r"\n(?=texts = |prompt = |source = |model = model.merge_and_unload)", cell.snippet())[0]
        files = {"inputs": str(folder / "inputs.safetensors"), "logits": str(folder / "logits.safetensors")}
        process.stdin.write(json.dumps({"code": code, **files}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert answer == "ok", answer
        return load_file(folder / "logits.safetensors")["logits"]

    yield load
    assert process.stdin is not None
    process.stdin.close()
    process.wait(60)


def loaded_by_card(model: Any, spec: JobSpec, base: Path, artifact: Path) -> Any:
    """The model that the lines of the artifact's card leave behind, on the weights that this one has now."""
    model.get_base_model().save_pretrained(artifact / "base")
    EQUIPMENT[spec.method].export(model, artifact, spec)
    code = EQUIPMENT[spec.method].snippet(spec).replace("'deltaboard/toy'", repr(str(artifact / "base")))
    base_model.load_tokenizer(base).save_pretrained(artifact)
    namespace: dict[str, Any] = {}
    exec(compile(code.replace('artifact = "."', f"artifact = {str(artifact)!r}"), "card.py", "exec"), namespace)
    return namespace["model"]
