"""Looks at devices and machine in a thread of its own, so that a driver that hangs keeps no hello waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread

from workers.devices import devices
from workers.protocol import Device

LOOK_SECONDS = 1.0


class Telemetry:
    """The newest look at this machine and its devices."""

    def __init__(
        self, ask: Callable[[], tuple[Device, ...]] = devices, ask_host: Callable[[], dict[str, float]] = dict
    ) -> None:
        self._ask, self._ask_host = ask, ask_host
        self.newest = ask()
        self.host: dict[str, float] = {}
        """What the machine did since the look before, as metric values: with each look another dict, never changed."""

    def look(self) -> None:
        self.newest = self._ask()
        self.host = self._ask_host()

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
