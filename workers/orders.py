"""What the worker process itself was told by a signal: flags that every supervisor sees, also with the site down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Flag:
    """Set once, by a signal handler too: a `threading.Event` takes a lock, and a second signal inside it would hang."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set


@dataclass(frozen=True)
class Orders:
    drain: Flag = field(default_factory=Flag)
    """Checkpoint, hand back, leave."""
    hurry: Flag = field(default_factory=Flag)
    """Leave at once."""

    def shutting_down(self, **signal_facts: Any) -> None:
        """One more signal to end: the first drains, the second hurries. Only sets a flag, so a handler may call it."""
        (self.hurry if self.drain.is_set() else self.drain).set()
