"""What a child prints: every line into its log file, warnings and errors to the terminal as well."""

from __future__ import annotations

import logging
import re
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Literal

Show = Literal["nothing", "trouble", "all"]
"""Which lines go to the terminal besides the log: none, warnings and errors, or every line."""

LOG_BYTES = 10 * 1024**2
LINE_BYTES = 16 * 1024
_TROUBLE = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")

logging.raiseExceptions = False  # a full disk must not end the supervisor, nor fill the terminal


class Output:
    """Reads one child's pipe to its end in a thread; remembers the last line, for the sentence about a crash."""

    def __init__(self, name: str, pipe: IO[bytes], folder: Path, show: Show = "trouble") -> None:
        self.name = name
        self.last_line = ""
        self.path = folder / f"{name}.log"
        self._pipe = pipe
        self._show = show
        self._file = RotatingFileHandler(self.path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
        self._file.setFormatter(logging.Formatter(f"%(asctime)s {name} | %(message)s"))
        self._thread = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._thread.start()

    def finish(self, limit_seconds: float) -> None:
        """Waits for the last lines of a child that has ended; a grandchild may hold its pipe, so not for ever."""
        self._thread.join(limit_seconds)

    def _read(self) -> None:
        with self._pipe:
            while line := self._pipe.readline(LINE_BYTES):
                self._take(line.decode(errors="replace").rstrip())
        self._file.close()

    def _take(self, line: str) -> None:
        if not line:
            return
        self.last_line = line
        self._file.emit(logging.LogRecord(self.name, logging.INFO, "", 0, line, None, None))
        if self._show == "all" or (self._show == "trouble" and _TROUBLE.search(line)):
            print(f"{self.name} | {line}", flush=True)
