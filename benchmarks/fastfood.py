"""The Fastfood projection against a dense random matrix of the same size: seconds and bytes, by the size of the tensor.

    python -m benchmarks.fastfood [DIMENSION]

Dense costs O(D·d) in time and memory, Fastfood O(D·log D) and O(D). One thread; medians of five. Memory is what the
process's peak rose by while it made the projection and used it both ways, read from /proc (Linux). A dense matrix of
more than 2 GiB is not built.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workers.training.loaders.fastfood import project, project_back, stream

SIZES = (2**14, 2**16, 2**18, 2**20, 2**22)
ROUNDS = 5
LARGEST_DENSE_BYTES = 2 * 2**30
MEMORY = Path("/proc/self")


def main(dimension: int) -> None:
    torch.set_num_threads(1)
    print(f"d = {dimension:,}: projection and its adjoint, milliseconds and MiB")
    print(f"{'D':>10} {'Fastfood ms':>12} {'dense ms':>10} {'Fastfood MiB':>13} {'dense MiB':>10}")
    for elements in SIZES:
        print_row(elements, dimension)


def print_row(elements: int, dimension: int) -> None:
    theta, gradient = torch.randn(dimension), torch.randn(elements)

    def fast() -> Callable[[], object]:
        by = stream(17, "benchmark", elements, dimension)
        return lambda: (project(theta, by, elements), project_back(gradient, by, dimension))

    def dense() -> Callable[[], object]:
        matrix = torch.randn(elements, dimension)
        return lambda: (matrix @ theta, gradient @ matrix)

    told = [measured(fast), measured(dense) if 4 * elements * dimension <= LARGEST_DENSE_BYTES else None]
    times = [f"{each[0]:.1f}" if each else "-" for each in told]
    sizes = [f"{each[1]:,.1f}" if each else "-" for each in told]
    print(f"{elements:>10,} {times[0]:>12} {times[1]:>10} {sizes[0]:>13} {sizes[1]:>10}", flush=True)


def measured(make: Callable[[], Callable[[], object]]) -> tuple[float, float]:
    """Median milliseconds of a use, and MiB that making it and using it took at most."""
    (MEMORY / "clear_refs").write_text("5")  # the peak counts from here
    before = _kib("VmRSS")
    took = median_ms(make())
    return took, (_kib("VmHWM") - before) / 1024


def _kib(name: str) -> int:
    lines = (MEMORY / "status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def median_ms(call: Callable[[], object]) -> float:
    call()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
