"""Breaks a training on purpose: in a forked child, or `python -m tests.faults.trainer.broken JOB_DIR` for the second
of two processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from workers.training import __main__ as training
from workers.training import loop, losses
from workers.training.place import Place


def from_forward_pass(number: int, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """From this forward pass of the training on, counted from 1, change the loss."""
    passes = 0

    def summed_loss(*given: Any) -> torch.Tensor:
        nonlocal passes
        passes += 1
        loss = losses.summed_loss(*given)
        return change(loss) if passes >= number else loss

    mock.patch.object(loop, "summed_loss", summed_loss).start()


def out_of_memory(at_pass: int) -> None:
    def change(loss: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has …")

    from_forward_pass(at_pass, change)


def no_number(from_pass: int) -> None:
    from_forward_pass(from_pass, lambda loss: loss * float("nan"))


class NoGradient(torch.autograd.Function):
    """The same number forward, none backward."""

    @staticmethod
    def forward(context: object, loss: torch.Tensor) -> torch.Tensor:
        return loss.clone()

    @staticmethod
    def backward(context: object, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * float("nan")


def no_gradient(from_pass: int) -> None:
    from_forward_pass(from_pass, NoGradient.apply)


if __name__ == "__main__":
    if Place.from_environment().rank == 1:
        out_of_memory(at_pass=2)
    sys.exit(training.main(sys.argv[1:]))
