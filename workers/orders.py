"""What the worker process itself was told by a signal: flags that every supervisor sees, also with the site down."""

from __future__ import annotations

from dataclasses import dataclass, field


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

    def leave(self, at_once: bool = False) -> None:
        """One more signal to end: the first drains, the second hurries. Only sets flags, so a handler may call it."""
        if at_once or self.drain.is_set():
            self.hurry.set()
        self.drain.set()
