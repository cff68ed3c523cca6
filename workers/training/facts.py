"""Facts about a base model folder that passed the check: shape, tasks, parameters, number format, chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PretrainedConfig

from workers.training.base_model_folder import InspectionProblem, Weights, read_json
from workers.training.shape import ShapeError, empty_model, read_shape

ENOUGH_NAMES = 0.5
"""Share of the network's tensors that must be found by name in the files: fewer means another network's weights."""


def facts_of(folder: Path, weights: Weights) -> dict[str, Any]:
    """What the site stores of a base model. Raises InspectionProblem."""
    config = _config(folder)
    try:
        shape, tasks = read_shape(config, weights.names)
    except ShapeError as error:
        raise InspectionProblem(
            "basemodel.architecture",
            str(error),
            "Use an encoder (BERT kind), a decoder (Llama, GPT kind) or an encoder-decoder (T5, BART kind), "
            "with the config.json it was saved with.",
        ) from error
    if weights.names:
        _check_names(empty_model(config, tasks[0]), weights)
    tokenizer = _tokenizer(folder)
    return {
        "shape": shape.as_json(),
        "architecture": (config.architectures or [type(config).__name__.removesuffix("Config")])[0],
        "model_type": config.model_type,
        "parameters": shape.parameters,
        "dtype": weights.dtype or str(config.dtype or "").removeprefix("torch."),
        "tasks": list(tasks),
        "chat_template": bool(tokenizer.chat_template),
        "licence": None,
    }


def _config(folder: Path) -> PretrainedConfig:
    """Raises InspectionProblem where transformers does not know the architecture or a value of it."""
    model_type = str(read_json(folder / "config.json").get("model_type", ""))[:60]
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise InspectionProblem(
            "basemodel.config",
            f"config.json (`model_type` {model_type or 'missing'}) cannot be read: {_first_line(error)}",
            "Use a base model whose architecture is part of transformers, with the config.json it was saved with.",
        ) from error


def _tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise InspectionProblem(
            "basemodel.tokenizer",
            f"The tokenizer files cannot be loaded: {_first_line(error)}",
            "Save the tokenizer again into the folder: tokenizer.save_pretrained(folder).",
        ) from error


def _check_names(model: Any, weights: Weights) -> None:
    prefix = f"{model.base_model_prefix}."
    held = {name.removeprefix(prefix) for name in weights.names}
    wanted = {name.removeprefix(prefix) for name, _ in model.named_parameters()}
    if len(wanted & held) < ENOUGH_NAMES * len(wanted):
        raise InspectionProblem(
            "basemodel.other_weights",
            f"The weights do not belong to config.json: {len(wanted & held)} of {len(wanted)} tensors are there.",
            "Give config.json and weights of the same model.",
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0][:160]}" if lines else "no reason given."
