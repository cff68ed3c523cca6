"""Which device and which number format this process trains on, and how many threads it may use."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from workers.training.failures import JobFailure
from workers.training.place import Place

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Hardware:
    """Where a training runs."""

    device: torch.device
    name: str
    """"cpu", or the GPU's own name."""
    precision: str
    """fp32, bf16 or fp16; resolved."""
    threads: int

    @property
    def frozen_dtype(self) -> torch.dtype:
        """Of weights that never change. fp16 stays in autocast only: its narrow range spoils stored weights."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def mixed_precision(self) -> str:
        """The name that accelerate has for it."""
        return "no" if self.precision == "fp32" else self.precision


def choose(precision: str, place: Place) -> Hardware:
    """The visible GPU of this process's rank, else the CPU; `auto` is bf16 on a GPU that has it, otherwise fp32."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if threads:
        torch.set_num_threads(threads)
    gpu = torch.cuda.is_available()
    if precision == "auto":
        precision = "bf16" if gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if precision == "fp16" and not gpu:
        raise JobFailure("bad_config", "fp16 needs a GPU, and this worker has none; choose fp32, bf16 or auto.")
    if gpu:
        _take(place)
    device = torch.device("cuda", place.rank) if gpu else torch.device("cpu")
    name = torch.cuda.get_device_name(device) if gpu else "cpu"
    return Hardware(device, name, precision, torch.get_num_threads())


def _take(place: Place) -> None:
    visible = torch.cuda.device_count()
    if visible < place.size:
        raise JobFailure(
            "bad_config",
            f"The job asks for {place.size} GPUs, and its place on this worker has {visible}; ask for fewer.",
            gpus=visible,
        )
    torch.cuda.set_device(place.rank)
