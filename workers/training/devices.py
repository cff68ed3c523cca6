"""Which device and which number format this process trains on, and how many threads it may use."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from workers.training.failures import JobFailure

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


def choose(precision: str) -> Hardware:
    """The first visible GPU, else the CPU; `auto` is bf16 on a GPU that has it, otherwise fp32."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if threads:
        torch.set_num_threads(threads)
    gpu = torch.cuda.is_available()
    if precision == "auto":
        precision = "bf16" if gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if precision == "fp16" and not gpu:
        raise JobFailure("bad_config", "fp16 needs a GPU, and this worker has none; choose fp32, bf16 or auto.")
    device = torch.device("cuda", 0) if gpu else torch.device("cpu")
    name = torch.cuda.get_device_name(device) if gpu else "cpu"
    return Hardware(device, name, precision, torch.get_num_threads())
