"""How much of a device's arithmetic a training uses (MFU): counted from its parameters, known devices only.

A dense network needs about 2 operations a parameter and token forwards and 4 backwards, 2 for the gradients of what
flows through it and 2 for those of the weights: C = 6·N·D (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Frozen
weights need no gradients, so delta tuning comes to (4·N + 2·N_trained)·D. Left out: attention's quadratic part,
recomputed activations (so it is MFU and not HFU: Chowdhery et al. 2022, arXiv:2204.02311, appendix B), and that layers
below the lowest trained one need no backward pass.
"""

from __future__ import annotations

from webapp.jobs.models import Job

TERA = 1e12
PEAKS = {
    "H200": 989.5 * TERA,
    "H100 80GB HBM3": 989.5 * TERA,
    "H100 PCIe": 756.0 * TERA,
    "A100": 312.0 * TERA,
    "L40S": 362.05 * TERA,
    "L4": 121.0 * TERA,
}
"""Operations a second in bf16 or fp16 with dense matrices, by the words of a device's name.

From NVIDIA's data sheets of H200 and H100 (SXM and PCIe; they print twice as much, "with sparsity"), A100, L40S and L4.
Of CPUs and of all other cards nothing is said.
"""
HALVES = ("bf16", "fp16")


def flops_per_token(job: Job) -> float | None:
    """Of one token forwards and backwards; None before the network is loaded."""
    if not job.total_parameters or job.trainable_parameters is None:
        return None
    return 4.0 * job.total_parameters + 2.0 * job.trainable_parameters


def peak_flops(device: str, precision: str) -> float | None:
    """A second, of one device in this number format; None where nobody can cite it."""
    if precision not in HALVES:
        return None
    words = device.split()
    if "NVL" in words:  # pairs of cards with a sheet of their own
        return None
    return next((peak for name, peak in PEAKS.items() if _has(words, name.split())), None)


def _has(words: list[str], wanted: list[str]) -> bool:
    """`A100` is in `NVIDIA A100-SXM4-80GB`, and `L4` is not in `NVIDIA L40S`."""
    heads = [word.split("-")[0] for word in words]
    return any(
        each[at : at + len(wanted)] == wanted for each in (words, heads) for at in range(len(words) - len(wanted) + 1)
    )


def use_of(job: Job) -> float | None:
    """What tokens a second are multiplied with to give the share of the devices' peak; None where it is not known."""
    each = flops_per_token(job)
    peak = peak_flops(job.device, str(job.spec.get("training", {}).get("precision", "")))
    return each / (peak * max(1, job.gpus)) if each and peak else None
