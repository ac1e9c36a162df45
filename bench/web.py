"""The web process as the Procfile starts it, and a client that takes next to no time itself."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from bench.processes import process
from tests.servers import free_port

PATIENCE = 30.0


class Client:
    """Sends requests with a token over one kept-alive connection."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, path: str) -> bytes:
        """The answer's body."""
        return self._answer(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())

    def post(self, path: str, body: bytes) -> bytes:
        """The answer's body."""
        head = f"POST {path} HTTP/1.1\r\n{self._headers}Content-Type: application/json\r\n"
        return self._answer(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def stream(self, path: str, accept: str) -> Iterator[bytes]:
        """The answer's pieces as they come, in their chunked form; the connection is used up by it."""
        head = f"GET {path} HTTP/1.1\r\nConnection: close\r\nAccept: {accept}\r\n{self._headers}\r\n"
        self._socket.sendall(head.encode())
        while piece := self._socket.recv(1 << 20):
            yield piece

    def _answer(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._socket.recv(1 << 18)
        head = received[:end].lower()
        assert head.startswith(b"http/1.1 2"), bytes(received[:2000])
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += self._socket.recv(1 << 18)
        return bytes(received[end + 4 :])


@contextmanager
def web() -> Iterator[tuple[int, int]]:
    """One web process with Calliyo and the rivals; its process id and its port."""
    port = free_port()
    options = ("--worker-class", "gthread", "--workers", "1", "--threads", "32", "--no-control-socket")
    arguments = ("gunicorn", "calliyo.wsgi", "--preload", "--bind", f"127.0.0.1:{port}", *options)
    with process(*arguments, DJANGO_SETTINGS_MODULE="bench.settings") as server:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "the web process does not listen"
                time.sleep(0.1)
            else:
                break
        yield server.pid, port
