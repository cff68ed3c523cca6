"""What one worker process holds while it runs: its site, slots, cache and orders. It claims; it runs nothing."""

from __future__ import annotations

import logging
import os
import platform
import signal
import time
import uuid
from dataclasses import asdict, dataclass, field
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
from workers.deafness import Hearing
from workers.devices import kind_label
from workers.enrolling import Home
from workers.isolation import Isolation
from workers.orders import Orders
from workers.protocol import PROTOCOL, Device, Timings, WorkerReport
from workers.slots import Held, Rack, Slot
from workers.telemetry import Telemetry
from workers.tree import Command, inspection_command, training_command
from workers.versions import lacks, own_version, versions

log = logging.getLogger(__name__)


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
    labels: tuple[str, ...] = ()
    train_with: Command = training_command
    inspect_with: Command = inspection_command
    telemetry: Telemetry = field(default_factory=Telemetry)
    hearing: Hearing = field(default_factory=lambda: Hearing(lambda: False))
    """Deaf is only who has a broker that answers."""
    orders: Orders = field(default_factory=Orders)
    boot_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    site_says_drain: Event = field(default_factory=Event)
    """Take no more; what runs may finish."""
    serves: bool = False
    why_left: str = ""
    """Set if the worker ends although nobody told it to."""

    def __post_init__(self) -> None:
        here = self.telemetry.newest
        self.rack = Rack([Slot(number, here[number % len(here)]) for number in range(self.slots)])

    @property
    def takes_work(self) -> bool:
        return not (self.told_to_take_no_more or self.wants_fresh_start)

    @property
    def told_to_take_no_more(self) -> bool:
        return self.orders.drain.is_set() or self.site_says_drain.is_set()

    @property
    def wants_fresh_start(self) -> str:
        """Why this process should end and be started again, once nothing runs in it; empty if it is well."""
        if self.hearing.deaf:
            return "No permit comes through although work waits, a slot is idle and the broker answers."
        lost = [slot.device for slot in self.rack.slots if self.telemetry.now(slot.device) is None]
        return f"{lost[0].name} (GPU {lost[0].index}) is gone." if lost else ""

    def claim(self, held: Held) -> dict[str, Any] | None:
        """The best job or inspection for what this thread holds and could hold, or None. Holds what the work takes."""
        if not self.takes_work:
            return None
        with held.reaching():
            claim = self._ask(held)
            if claim is None:
                return None
            slots = _chosen(claim, held)
            if not slots:
                log.error("The site gave a %s for devices that are not free here; not taken.", claim["kind"])
                return None
            held.work_on(slots)
            return claim

    def _ask(self, held: Held) -> dict[str, Any] | None:
        """A lost answer is asked for again under the same id."""
        body = {"claim_id": uuid.uuid4().hex, "boot_id": self.boot_id, "slot": held.own.number}
        body |= {"threads": self.threads_per_slot, "devices": [asdict(self._newest(slot)) for slot in held.slots]}
        try:
            return patiently(lambda: self.client.claim(body), self.orders.drain.is_set, self.timings.ack_limit_seconds)
        except (SiteUnreachable, SiteRefused, UnknownToken) as error:
            log.warning("Nothing claimed: %s", error)
            return None

    def _newest(self, slot: Slot) -> Device:
        return self.telemetry.now(slot.device) or slot.device

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
        if first and self.serves and not self.orders.drain.is_set():  # a second signal would mean a hard stop
            while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # Celery is still starting
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)

    def _report(self) -> WorkerReport:
        here = self.telemetry.newest
        kinds = {kind_label(device.name) for device in here if device.kind == "cuda"}
        return WorkerReport(
            boot_id=self.boot_id,
            hostname=platform.node(),
            place=self.home.place,
            version=own_version(),
            slots=self.slots,
            busy_slots=self.rack.busy,
            threads_per_slot=self.threads_per_slot,
            cores=os.cpu_count() or 1,
            devices=here,
            labels=tuple(sorted({*self.labels, *kinds})),
            draining=self.told_to_take_no_more,
            deaf=self.hearing.deaf,
            isolation=self.isolation.as_json(),
            versions=versions(),
            lacks=lacks(),
        )

    def _obey(self, answer: HelloAnswer) -> None:
        self.timings = answer.timings
        (self.site_says_drain.set if answer.drain else self.site_says_drain.clear)()
        idle = self.rack.busy < self.slots and not self.told_to_take_no_more
        self.hearing.expect(answer.work_waiting and idle, self.timings.deaf_seconds)
        if answer.remove:
            self.home.token.unlink(missing_ok=True)
            self.leave("This worker was removed on the site.")
        if answer.lowest_protocol > PROTOCOL:
            self.leave(
                f"The site speaks protocol {answer.lowest_protocol} and newer, this worker {PROTOCOL}. "
                "Install the site's version here."
            )


def _chosen(claim: dict[str, Any], held: Held) -> list[Slot] | None:
    """The slots that the work takes: those whose devices the site names, for it has looked at their memory."""
    named = [(device["kind"], device["index"]) for device in claim.get("devices") or ()]
    if named:
        return held.named(named)
    gpus = claim["spec"].get("gpus", 1) if claim["kind"] == "job" else 1
    return held.slots[:gpus] if gpus <= len(held.slots) else None
