"""A TCP relay whose open connections can be frozen, as by a dead network path: new ones go through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class FrozenLine:
    """Relays `port` to another one on loopback."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._frozen: set[socket.socket] = set()
        self._open: list[socket.socket] = []
        self.port: int = self._server.getsockname()[1]

    def freeze(self) -> None:
        """What is connected now hears and says nothing more, and notices nothing."""
        self._frozen.update(self._open)

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                target = socket.create_connection(("127.0.0.1", self._target_port))
                self._open += [client, target]
                for source, sink in ((client, target), (target, client)):
                    threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        self._server.close()
        for connection in self._open:
            connection.close()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source in self._frozen:
                    return  # what has arrived is lost, and the connection stays open
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def line_to(port: int) -> Iterator[FrozenLine]:
    line = FrozenLine(port)
    thread = threading.Thread(target=line.serve, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.close()
