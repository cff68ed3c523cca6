"""Times one forward pass after a training: of the base model alone, with the delta, and with the delta merged.

Same inputs, in turns, medians, on the device that trained. It takes seconds at most, and only where copies of the
network are small against the free memory: a figure that is good to have never spoils a training that is done.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from workers.protocol import JobSpec
from workers.training.events import Events
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import CannotMerge
from workers.training.probing import probes

BUDGET_SECONDS = 5.0
"""No turn begins later; the warm-up and loading the base model again, once or twice, come before."""
WARM_UP_TURNS, TURNS, TURNS_NEEDED = 2, 9, 3
MEMORY_SHARE = 0.25
"""Of the free memory that the copies of the network may take."""

Fresh = Callable[[torch.dtype], Any]
"""The base model, loaded anew in a number format; no delta."""


def measured(
    model: Any, spec: JobSpec, artifact: Path, fresh: Fresh, dtype: torch.dtype, events: Events
) -> dict[str, Any] | None:
    """Seconds of a pass and its size; without `merged_seconds` where the method has no merged form. None: not done.

    `model` is the trained network, `dtype` the number format that it was loaded in.
    """
    try:
        if not _room(model, spec):
            events.log("Forward passes were not timed: copies of the network would take too much of the memory.")
            return None
        return _measured(model, spec, artifact, fresh, dtype)
    except Exception as error:  # the delta is written and scored: nothing here may cost it
        events.log(f"Forward passes could not be timed: {error}", "warning")
        return None


def _measured(model: Any, spec: JobSpec, artifact: Path, fresh: Fresh, dtype: torch.dtype) -> dict[str, Any] | None:
    device = next(model.parameters()).device
    networks = {"delta": model, "base": fresh(dtype).to(device)}
    if (merged := _merged(spec, artifact, fresh)) is not None:
        networks["merged"] = merged.to(device, dtype)
    for network in networks.values():
        network.config.use_cache = model.config.use_cache
        network.eval()
    inputs = {name: tensor.to(device) for name, tensor in probes(networks["base"], spec).items()}
    turns = _in_turns(networks, inputs, dtype)
    if len(turns) < TURNS_NEEDED:
        return None
    rows, tokens = inputs["input_ids"].shape
    seconds = {f"{name}_seconds": statistics.median(turn[name] for turn in turns) for name in networks}
    return {**seconds, "rows": rows, "tokens": tokens}


def _room(model: Any, spec: JobSpec) -> bool:
    device = next(model.parameters()).device
    copies, width = (2, 4) if _merges(spec) else (1, 1)  # merging adds up in fp32
    needed = copies * sum(each.numel() * max(width, each.element_size()) for each in model.parameters())
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return bool(needed <= MEMORY_SHARE * free)


def _merges(spec: JobSpec) -> bool:
    return EQUIPMENT[spec.method].load is not None and spec.training.get("quantize", "none") == "none"


def _merged(spec: JobSpec, artifact: Path, fresh: Fresh) -> Any | None:
    """In fp32; None where there is no such form."""
    equipment = EQUIPMENT[spec.method]
    if equipment.load is None or not _merges(spec):
        return None
    try:
        return equipment.merge(equipment.load(fresh(torch.float32), artifact))
    except CannotMerge:  # this architecture does not allow it
        return None


@torch.no_grad()
def _in_turns(networks: dict[str, Any], inputs: dict[str, torch.Tensor], dtype: torch.dtype) -> list[dict[str, float]]:
    """Seconds of each network's pass, turn by turn; a slow moment of the machine meets all of them alike."""
    for _ in range(WARM_UP_TURNS):
        _turn(networks, inputs, dtype)
    turns: list[dict[str, float]] = []
    ends = time.monotonic() + BUDGET_SECONDS
    while len(turns) < TURNS and time.monotonic() < ends:
        turns.append(_turn(networks, inputs, dtype))
    return turns


def _turn(networks: dict[str, Any], inputs: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, float]:
    return {name: _pass(network, inputs, dtype) for name, network in networks.items()}


def _pass(network: Any, inputs: dict[str, torch.Tensor], dtype: torch.dtype) -> float:
    device = inputs["input_ids"].device
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        network(**inputs)
    if cuda:
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
