"""A receiver on loopback for tests: a real socket, one thread a connection, answers as scripted."""

import contextlib
import io
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook as Verifier


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int


Behaviour = Callable[[socket.socket, Received], bool]
"""Answers one request; says whether the connection stays open."""


def answer(status: int = 200, *, body: bytes = b"ok", headers: str = "", delay: float = 0) -> Behaviour:
    """A well-formed answer after `delay` seconds."""

    def behave(sock: socket.socket, _: Received) -> bool:
        time.sleep(delay)
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        sock.sendall(head.encode() + body)
        return True

    return behave


def raw(data: bytes) -> Behaviour:
    """Whatever bytes, then the connection closes."""

    def behave(sock: socket.socket, _: Received) -> bool:
        sock.sendall(data)
        return False

    return behave


def verify(received: Received, secret: str) -> Any:
    """The event of a request whose signature holds, by the published library; raises for any other."""
    return Verifier(secret).verify(received.body, received.headers)


@dataclass
class Receiver:
    """Keeps what it received; `script` is used up first, then `default` answers."""

    default: Behaviour = field(default_factory=answer)
    script: list[Behaviour] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    arrival: threading.Condition = field(default_factory=threading.Condition)
    listener: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=128)
    )
    open_sockets: set[socket.socket] = field(default_factory=set)
    tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def hang(self, sock: socket.socket, _: Received) -> bool:
        """Never answers, until the test ends."""
        self.stopping.wait(30)
        return False

    def drip(self, sock: socket.socket, _: Received) -> bool:
        """One byte of a header every 50 ms, for ever."""
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.stopping.wait(0.05):
            sock.sendall(b"a")
        return False

    def close_silently(self, sock: socket.socket, _: Received) -> bool:
        """Closes without an answer."""
        return False

    def reset(self, sock: socket.socket, _: Received) -> bool:
        """Ends the connection with a reset in place of an answer."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Received]:
        """What was received, once there are `count` requests; fails the test after `timeout`."""
        with self.arrival:
            enough = self.arrival.wait_for(lambda: len(self.received) >= count, timeout)
            assert enough, f"{len(self.received)} of {count} requests arrived within {timeout} s"
            return list(self.received)

    def drop_connections(self) -> None:
        """Closes every kept-alive connection from this side."""
        for sock in list(self.open_sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()  # the sender does not trust us, which is often what the test is about
                return
        self.open_sockets.add(sock)
        with sock, sock.makefile("rb") as stream:
            try:
                while request := _read_request(stream, number):
                    with self.arrival:
                        self.received.append(request)
                        behave = self.script.pop(0) if self.script else self.default
                        self.arrival.notify_all()
                    if not behave(sock, request):
                        break
            except OSError:
                pass  # the sender gave up, which is often what the test is about
            finally:
                self.open_sockets.discard(sock)


def _read_request(stream: io.BufferedReader, number: int) -> Received | None:
    line = stream.readline()
    if not line:
        return None
    headers: dict[str, str] = {}
    while (header := stream.readline().strip()) != b"":
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Received(line.split(b" ")[1].decode(), headers, body, time.time(), number)


def bodies(receiver: Receiver) -> list[Any]:
    """The events that came, in their order."""
    return [json.loads(received.body) for received in receiver.received]


@contextmanager
def running_receiver(**options: Behaviour) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    receiver = Receiver(**options)  # type: ignore[arg-type]
    thread = threading.Thread(target=receiver.run, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        receiver.listener.shutdown(socket.SHUT_RDWR)
        receiver.listener.close()
        thread.join(5)
        receiver.drop_connections()
