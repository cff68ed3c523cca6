"""The Fastfood projection against a dense random matrix of the same size: seconds and bytes, by the size of the tensor.

    python -m benchmarks.fastfood [DIMENSION]

Dense costs O(D·d) in time and memory, Fastfood O(D·log D) and 9 bytes an entry. One thread; medians of five. A dense
matrix of more than 2 GiB is not built, only its size is printed.
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
BYTES_PER_ENTRY = 1 + 4 + 4


def main(dimension: int) -> None:
    torch.set_num_threads(1)
    print(f"d = {dimension:,}: projection and its adjoint, milliseconds and MiB")
    print(f"{'D':>10} {'Fastfood ms':>12} {'dense ms':>10} {'Fastfood MiB':>13} {'dense MiB':>10}")
    for elements in SIZES:
        print_row(elements, dimension)


def print_row(elements: int, dimension: int) -> None:
    theta, gradient = torch.randn(dimension), torch.randn(elements)
    by = stream(17, "benchmark", elements, dimension)
    fast = median_ms(lambda: (project(theta, by, elements), project_back(gradient, by, dimension)))
    dense_bytes = 4 * elements * dimension
    dense = f"{'-':>10}"
    if dense_bytes <= LARGEST_DENSE_BYTES:
        matrix = torch.randn(elements, dimension)
        dense = f"{median_ms(lambda: (matrix @ theta, gradient @ matrix)):>10.1f}"
    fast_mib, dense_mib = len(by.signs) * BYTES_PER_ENTRY / 2**20, dense_bytes / 2**20
    print(f"{elements:>10,} {fast:>12.1f} {dense} {fast_mib:>13.1f} {dense_mib:>10,.0f}")


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
