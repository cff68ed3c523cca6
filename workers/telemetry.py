"""Looks at the devices in a thread of its own, so that a driver that hangs keeps no hello and no claim waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread

from workers.devices import devices
from workers.protocol import Device

LOOK_SECONDS = 1.0


class Telemetry:
    """The newest look at this machine's devices."""

    def __init__(self, ask: Callable[[], tuple[Device, ...]] = devices) -> None:
        self._ask = ask
        self.newest = ask()

    def look(self) -> None:
        self.newest = self._ask()

    def keep_looking(self) -> None:
        """From now on about once a second, for as long as the process lives."""
        Thread(target=self._look_for_ever, name="telemetry", daemon=True).start()

    def _look_for_ever(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            self.look()

    def now(self, device: Device) -> Device | None:
        """The newest word on one device, or None if it is no longer there."""
        return next((each for each in self.newest if (each.kind, each.index) == (device.kind, device.index)), None)
