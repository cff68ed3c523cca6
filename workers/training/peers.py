"""What the processes of one training tell each other: gradients, sums, what the first of them decided.

No DistributedDataParallel: the last batch of an epoch may leave a process without a row, which it cannot do, and it
would rename every parameter. One sum over the trained gradients a step is all that a delta needs, whatever its method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from workers.training.failures import PeerLost, Stopped
from workers.training.place import Place

T = TypeVar("T")
BUCKET_BYTES = 64 * 2**20
"""Gradients travel in pieces of about this size."""
PATIENCE = timedelta(days=7)
"""Others wait as long as the first evaluates or saves; the starter sees deaths, the supervisor standstill."""


@dataclass(frozen=True)
class Peers:
    """This process among those that train with it; alone, nothing here does anything."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, place: Place, on_gpu: bool) -> Peers:
        """Meet the others. Objects and decisions go over the CPU, gradients over wherever they are."""
        if place.size > 1:
            backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
            with _peers():
                distributed.init_process_group(
                    backend,
                    init_method=f"file://{place.rendezvous}",
                    rank=place.rank,
                    world_size=place.size,
                    timeout=PATIENCE,
                )
        return cls(place.rank, place.size)

    def leave(self) -> None:
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, numbers: Sequence[int]) -> list[int]:
        """This process's part of a batch: every `size`-th row, so that long rows are spread evenly. May be empty."""
        return list(numbers[self.rank :: self.size])

    def any(self, here: bool) -> bool:
        """Whether it is so in any of the processes."""
        if self.size == 1:
            return here
        flag = torch.tensor([float(here)])
        with _peers():
            distributed.all_reduce(flag)
        return flag.item() > 0

    def from_first(self, act: Callable[[], T]) -> T:
        """What `act` returned in the first process, for all of them; a `Stopped` there is one everywhere."""
        if self.size == 1:
            return act()
        said: list[Any] = [None, False]
        if self.is_first:
            try:
                said = [act(), False]
            except Stopped:
                said = [None, True]
        with _peers():
            distributed.broadcast_object_list(said, src=0)
        if said[1]:
            raise Stopped
        result: T = said[0]
        return result

    def gathered(self, here: T) -> list[T]:
        """Everyone's, by rank, in the first process; empty in the others."""
        if self.size == 1:
            return [here]
        everyone: list[Any] | None = [None] * self.size if self.is_first else None
        with _peers():
            distributed.gather_object(here, everyone, dst=0)
        return everyone or []

    def start_equal(self, model: nn.Module) -> None:
        """Everyone trains from the first one's weights: a method may draw its start from chance or from data."""
        if self.size > 1:
            with _peers():
                for parameter in _trained(model):
                    distributed.broadcast(parameter.data, src=0)

    def sum_step(self, model: nn.Module, loss: torch.Tensor, stop: bool) -> tuple[torch.Tensor, bool]:
        """Sum the gradients and the loss over all processes, in place; whether any of them was asked to stop.

        Where no process has a gradient, none comes to be: the optimizer passes such a parameter over.
        """
        if self.size == 1:
            return loss, stop
        trained = _trained(model)
        flags = [float(stop), *(float(each.grad is not None) for each in trained)]
        numbers = torch.cat([loss.reshape(1).float(), torch.tensor(flags, device=loss.device)])
        with _peers():
            distributed.all_reduce(numbers)
            asked, *held = numbers[1:].tolist()
            self._sum([_gradient(each) for each, times in zip(trained, held, strict=True) if times])
        return numbers[0], asked > 0

    def _sum(self, gradients: list[torch.Tensor]) -> None:
        for bucket in _buckets(gradients):
            flat = torch.cat([each.reshape(-1) for each in bucket])
            distributed.all_reduce(flat)
            parts = torch.split(flat, [each.numel() for each in bucket])
            for each, summed in zip(bucket, parts, strict=True):
                each.copy_(summed.view_as(each))


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [each for each in model.parameters() if each.requires_grad]


def _gradient(parameter: nn.Parameter) -> torch.Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(tensors: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """In order, of one number format each."""
    bucket: list[torch.Tensor] = []
    for each in tensors:
        size = sum(one.nbytes for one in bucket)
        if bucket and (bucket[0].dtype != each.dtype or size + each.nbytes > BUCKET_BYTES):
            yield bucket
            bucket = []
        bucket.append(each)
    if bucket:
        yield bucket


@contextmanager
def _peers() -> Iterator[None]:
    """What goes wrong between processes is the fault of one that is gone; memory is one's own."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise PeerLost(str(error)) from error
