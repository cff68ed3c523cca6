"""One process that loads artifacts by their cards' own code, for all tests that want it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.methods.cells import Trained

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
