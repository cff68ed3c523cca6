"""What the worker process itself was told by a signal: flags that every supervisor sees, also with the site down."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import Any


@dataclass(frozen=True)
class Orders:
    drain: Event = field(default_factory=Event)
    """Checkpoint, hand back, leave."""
    hurry: Event = field(default_factory=Event)
    """Leave at once."""

    def shutting_down(self, **signal_facts: Any) -> None:
        """One more signal to end: the first drains, the second hurries. Only sets a flag, so a handler may call it."""
        (self.hurry if self.drain.is_set() else self.drain).set()
