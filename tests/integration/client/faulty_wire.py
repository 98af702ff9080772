"""A way to a service that breaks on command."""

import contextlib
import socket
import threading
from typing import Self


class FaultyWire:
    """Passes on what is said between clients and a service, until it is cut.

    `num_to_swallow`: of so many requests to come, the reply is lost and the connection with it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._service = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.num_connections = 0
        self.num_to_swallow = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection there is."""
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            service = socket.create_connection(self._service)
            with self._lock:
                self._open += [client, service]
                self.num_connections += 1
            for source, sink, is_reply in ((client, service, False), (service, client, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, is_reply), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_reply and self._swallows():
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _swallows(self) -> bool:
        with self._lock:
            if self.num_to_swallow == 0:
                return False
            self.num_to_swallow -= 1
            return True
