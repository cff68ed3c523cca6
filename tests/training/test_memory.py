"""What is sampled beside the steps: memory at once, what the device says of itself from the first interval on."""

from __future__ import annotations

import time

import torch

from workers.training.memory import MemorySampler


def test_a_cpu_tells_its_memory_at_once_and_its_load_soon() -> None:
    sampler = MemorySampler(torch.device("cpu"), interval_seconds=0.01)
    try:
        assert 50e6 < sampler.values()["device_memory_bytes"] <= sampler.total_bytes
        until = time.monotonic() + 20
        while "device_utilisation_percent" not in sampler.values():
            assert time.monotonic() < until, "the sensors were never read"
            time.sleep(0.01)
        assert 0 <= sampler.values()["device_utilisation_percent"] <= 100
    finally:
        sampler.close()
