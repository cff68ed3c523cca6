"""The worker's slots and who holds them: none is lost and none is held twice, whatever happens to its holder.

A slot is one GPU, or a share of the CPU. What runs in it is its holder's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from workers.protocol import Device


@dataclass(frozen=True)
class Slot:
    """One place to train."""

    number: int
    device: Device
    """As it was when the worker started."""

    def works_with(self, other: Slot) -> bool:
        """GPUs train together with other GPUs, shares of the CPU with other shares."""
        return self.device.kind == other.device.kind


class Held:
    """What one thread holds: its own slot first, then those that it took besides."""

    def __init__(self, rack: Rack, own: Slot) -> None:
        self._rack = rack
        self.slots = [own]
        self.at_work = False
        """What it holds is in use, not only held out to the site."""

    @property
    def own(self) -> Slot:
        return self.slots[0]

    @property
    def cuda_devices(self) -> str:
        """For CUDA_VISIBLE_DEVICES; empty for none."""
        return ",".join(str(slot.device.index) for slot in self.slots if slot.device.kind == "cuda")

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Every free slot that works with its own, while the block lasts; what `work_on` did not take goes back."""
        self._rack.reach(self)
        try:
            yield
        finally:
            if not self.at_work:
                self._rack.keep(self, self.slots[:1], at_work=False)

    def named(self, devices: Sequence[tuple[str, int]]) -> list[Slot] | None:
        """One held slot for each device, by kind and index, in that order; None if one is not held."""
        left, found = list(self.slots), []
        for device in devices:
            slot = next((each for each in left if (each.device.kind, each.device.index) == device), None)
            if slot is None:
                return None
            left.remove(slot)  # shares of one CPU all look alike
            found.append(slot)
        return found

    def work_on(self, slots: Sequence[Slot]) -> None:
        """Keep these of its slots, at work, and put the rest back; the first of them is its own from now on."""
        self._rack.keep(self, slots, at_work=True)

    def done(self) -> None:
        """The work has ended: all but its own slot goes back."""
        self._rack.keep(self, self.slots[:1], at_work=False)


class Rack:
    """All slots of a worker process. Thread-safe."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = tuple(slots)
        self._free = list(slots)
        self._hands: list[Held] = []
        self._changed = Condition()
        self.on_room: Callable[[int], None] = lambda room: None
        """Told how many threads could have a slot of their own, whenever that changes."""

    @contextmanager
    def hold(self) -> Iterator[Held | None]:
        """A free slot while the block lasts, or None if all are at work: another permit will come for them.

        Waits only while somebody else holds free ones out to the site.
        """
        held = self._take_one()
        try:
            yield held
        finally:
            if held is not None:
                self._let_go(held)

    @property
    def busy(self) -> int:
        """Slots in which something runs."""
        with self._changed:
            return sum(len(held.slots) for held in self._hands if held.at_work)

    @property
    def untouched(self) -> bool:
        """Nobody holds a slot: nothing runs and nothing is being claimed."""
        with self._changed:
            return not self._hands

    def reach(self, held: Held) -> None:
        with self._changed:
            near = [slot for slot in self._free if slot.works_with(held.own)]
            held.slots += near
            self._free = [slot for slot in self._free if slot not in near]

    def keep(self, held: Held, slots: Sequence[Slot], at_work: bool) -> None:
        with self._changed:
            spare = [slot for slot in held.slots if slot not in slots]
            held.slots, held.at_work = list(slots), at_work
            self._return(spare)

    def _take_one(self) -> Held | None:
        with self._changed:
            while not self._free and any(len(held.slots) > 1 and not held.at_work for held in self._hands):
                self._changed.wait()
            if not self._free:
                return None
            held = Held(self, self._free.pop(0))
            self._hands.append(held)
            return held

    def _let_go(self, held: Held) -> None:
        with self._changed:
            self._hands.remove(held)
            spare, held.slots, held.at_work = held.slots, [], False
            self._return(spare)

    def _return(self, spare: list[Slot]) -> None:
        self._free = sorted([*self._free, *spare], key=lambda slot: slot.number)
        self._changed.notify_all()
        self.on_room(len(self.slots) - sum(len(held.slots) - 1 for held in self._hands))
