"""What one worker process holds while it runs: its site, slots, cache and orders. It claims; it runs nothing."""

from __future__ import annotations

import logging
import os
import platform
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from queue import SimpleQueue
from threading import Event
from typing import Any

from workers.cache import Cache
from workers.client import (
    Claimed,
    Enrolment,
    HelloAnswer,
    SiteClient,
    SiteRefused,
    SiteUnreachable,
    UnknownToken,
    patiently,
)
from workers.devices import devices, visible_to_slot
from workers.enrolling import Home, own_version
from workers.isolation import Isolation
from workers.orders import Orders
from workers.protocol import PROTOCOL, Device, Timings, WorkerReport
from workers.tree import Command, inspection_command, training_command

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """One place to train: a GPU, or a share of the CPU."""

    number: int
    device: Device

    @property
    def cuda_device(self) -> str:
        return str(self.device.index) if self.device.kind == "cuda" else ""


@dataclass
class Station:
    """The worker process. Shared by all its threads."""

    client: SiteClient
    home: Home
    worker: Enrolment
    slots: int
    threads_per_slot: int
    isolation: Isolation
    timings: Timings
    cache: Cache
    train_with: Command = training_command
    inspect_with: Command = inspection_command
    orders: Orders = field(default_factory=Orders)
    boot_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    site_says_drain: Event = field(default_factory=Event)
    """Take no more; what runs may finish."""
    serves: bool = False
    why_left: str = ""
    """Set if the worker ends although nobody told it to."""

    def __post_init__(self) -> None:
        self._free: SimpleQueue[Slot] = SimpleQueue()
        here = devices()
        for number in range(self.slots):
            self._free.put(Slot(number, visible_to_slot(here, number)))

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """A free slot, for as long as the block lasts."""
        slot = self._free.get()
        try:
            yield slot
        finally:
            self._free.put(slot)

    @property
    def takes_work(self) -> bool:
        return not (self.orders.drain.is_set() or self.site_says_drain.is_set())

    def claim(self, slot: Slot) -> dict[str, Any] | None:
        """The best job or inspection for this slot, or None. A lost answer is asked for again under the same id."""
        if not self.takes_work:
            return None
        body = {"claim_id": uuid.uuid4().hex, "boot_id": self.boot_id, "slot": slot.number}
        body |= {"threads": self.threads_per_slot, "devices": [asdict(slot.device)]}
        try:
            return patiently(lambda: self.client.claim(body), self.orders.drain.is_set, self.timings.ack_limit_seconds)
        except (SiteUnreachable, SiteRefused, UnknownToken) as error:
            log.warning("Nothing claimed: %s", error)
            return None

    def attempt(self, claim: dict[str, Any]) -> Claimed:
        return Claimed(self.client, "attempts", claim["attempt"], claim["token"])

    def inspection(self, claim: dict[str, Any]) -> Claimed:
        return Claimed(self.client, "inspections", claim["inspection"], claim["token"])

    def hello(self) -> None:
        """Report and take in the answer. Raises SiteUnreachable, SiteRefused, UnknownToken."""
        self._obey(self.client.hello(self._report()))

    def leave(self, why: str) -> None:
        """End this worker process by itself, the way SIGTERM does; before it serves, whoever starts it looks."""
        first, self.why_left = not self.why_left, why
        if first and self.serves:
            while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # Celery is still starting
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)

    def _report(self) -> WorkerReport:
        return WorkerReport(
            boot_id=self.boot_id,
            hostname=platform.node(),
            version=own_version(),
            slots=self.slots,
            busy_slots=self.slots - self._free.qsize(),
            threads_per_slot=self.threads_per_slot,
            cores=os.cpu_count() or 1,
            devices=devices(),
            draining=not self.takes_work,
            isolation=self.isolation.as_json(),
        )

    def _obey(self, answer: HelloAnswer) -> None:
        self.timings = answer.timings
        (self.site_says_drain.set if answer.drain else self.site_says_drain.clear)()
        if answer.remove:
            self.home.token.unlink(missing_ok=True)
            self.leave("This worker was removed on the site.")
        if answer.lowest_protocol > PROTOCOL:
            self.leave(
                f"The site speaks protocol {answer.lowest_protocol} and newer, this worker {PROTOCOL}. "
                "Install the site's version here."
            )
