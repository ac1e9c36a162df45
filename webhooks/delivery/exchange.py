"""One request and its answer on one connection: written in one piece, read by `http.client` under one deadline."""

import contextlib
import http
import http.client
import io
import socket
import time
from collections.abc import Iterable
from typing import cast

from webhooks.delivery.answer import plain_answer
from webhooks.delivery.deadline import Deadline
from webhooks.delivery.failures import AnswerBroken, Failure, FailureCode, failure_of, status_failure
from webhooks.delivery.guard import GuardedConnection
from webhooks.delivery.result import AttemptResult, Timings
from webhooks.delivery.turns import PATIENCE, PATIENCE_IN_ALL, Turn
from webhooks.delivery.urls import Endpoint

MAX_READ = 64 * 1024
MAX_KEPT = 2 * 1024
FIRST_READ = 8 * 1024
MAX_HEADERS_KEPT = 4 * 1024


class _Answer(io.RawIOBase):
    """The socket as `http.client` reads it: each read under what is left of the deadline, 64 kB in all."""

    def __init__(self, sock: socket.socket, deadline: Deadline, turn: Turn) -> None:
        self._sock = sock
        self._deadline = deadline
        self._turn = turn
        self._patient_until = time.monotonic() + PATIENCE_IN_ALL if turn.patient else 0.0
        self._ahead = b""
        self.bytes_read = 0
        self.first_byte_at: float | None = None

    def first_read(self) -> bytes:
        """What has come so far, once something has; `http.client` reads it again."""
        buffer = bytearray(FIRST_READ)
        self._ahead = bytes(buffer[: self.readinto(memoryview(buffer))])
        return self._ahead

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed names a private buffer type
        if self._ahead:
            count = min(len(self._ahead), len(buffer))
            buffer[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        room = MAX_READ - self.bytes_read
        if room <= 0:
            raise AnswerBroken("longer than 64 kB")
        count = self._received(buffer, min(room, len(buffer)))
        if self.first_byte_at is None and count:
            self.first_byte_at = time.monotonic()
        self.bytes_read += count
        return count

    def _received(self, buffer: memoryview, most: int) -> int:
        left = self._deadline.remaining()
        if self._turn.held and left > PATIENCE and time.monotonic() < self._patient_until:
            _set_timeout(self._sock, PATIENCE)
            with contextlib.suppress(TimeoutError):
                return self._sock.recv_into(buffer, most)
        self._turn.give_up()
        _set_timeout(self._sock, self._deadline.remaining())
        return self._sock.recv_into(buffer, most)


class _Response(http.client.HTTPResponse):
    """The final answer: interim ones (100 to 199) are skipped, where `http.client` skips only `100 Continue`.

    Else a `103 Early Hints` would be the answer, and the answer itself would be taken for the next request's.
    """

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # private; a test is the alarm
        if 100 <= status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            status = http.HTTPStatus.CONTINUE
        return version, status, reason


class Exchange:
    """One request and its answer on one connection, and what is known of it so far when it breaks off."""

    def __init__(
        self,
        connection: GuardedConnection,
        endpoint: Endpoint,
        request: bytes,
        deadline: Deadline,
        started: float,
        timeout: float,
    ) -> None:
        self.connection = connection
        self.endpoint = endpoint
        self.reusable = False
        self.was_stale = False
        self._request = request
        self._unsent = memoryview(request)
        self._broken: Exception | None = None
        self._turn = Turn()
        self._deadline = deadline
        self._started = started
        self._timeout = timeout
        self._reused = connection.sock is not None
        self._sent_at: float | None = None
        self._tls_seconds: float | None = None
        self._answer: _Answer | None = None
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def on(self, connection: GuardedConnection) -> "Exchange":
        """The same request anew, on another connection; its time goes on."""
        return Exchange(
            connection, self.endpoint, self._request, self._deadline, self._started, self._timeout
        )

    def begin(self) -> None:
        """Sends what the system takes at once; what goes wrong is told by `result`."""
        try:
            sock = self._socket()
            _set_timeout(sock, PATIENCE)
            self._send(sock)
        except TimeoutError:
            return  # the peer has yet to read what it was sent before
        except Exception as error:  # noqa: BLE001  # told where it is asked for
            self._broken = error

    def result(self, turn: Turn) -> AttemptResult:
        """Sends and reads; every error that the other side can cause becomes a failure in words."""
        self._turn = turn
        try:
            self._connect()
            self._write()
            failure = self._read()
        except Exception as error:
            failure = failure_of(error, timeout=self._timeout)
            if failure is None:
                self.connection.close()
                raise
            silent = self._answer is None or self._answer.bytes_read == 0
            self.was_stale = self._reused and silent and failure.code is FailureCode.CONNECTION_CLOSED
            if self.was_stale:
                self.connection.close()
        return self._attempt_result(failure)

    def _connect(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._reused:
            return
        self._turn.give_up()
        before = time.monotonic()
        self.connection.deadline = self._deadline
        self.connection.connect()
        if not self.connection.plain_http:
            until_tls = (self.connection.dns_seconds or 0) + (self.connection.connect_seconds or 0)
            self._tls_seconds = time.monotonic() - before - until_tls

    def _write(self) -> None:
        sock = self._socket()
        while self._unsent:
            self._turn.give_up()  # until the peer has read
            sock.settimeout(self._deadline.remaining())
            self._send(sock)

    def _send(self, sock: socket.socket) -> None:
        self._unsent = self._unsent[sock.send(self._unsent) :]
        self._sent_at = time.monotonic()

    def _read(self) -> Failure | None:
        self._answer = _Answer(self._socket(), self._deadline, self._turn)
        plain = plain_answer(self._answer.first_read())
        if plain is not None:
            self._status = plain.status
            self._headers = _headers_kept(plain.headers)
            self._body += plain.body[:MAX_KEPT]
            self.reusable = plain.kept_alive
            return status_failure(plain.status)
        response = _Response(cast(socket.socket, self._answer), method="POST")
        try:
            response.begin()
            self._status = response.status
            self._headers = _headers_kept(response.getheaders())
            while not response.isclosed() and self._answer.bytes_read < MAX_READ:
                chunk = response.read(8192)
                self._body += chunk[: MAX_KEPT - len(self._body)] if len(self._body) < MAX_KEPT else b""
                if not chunk:
                    break
            _check_whole(response)
            self.reusable = response.isclosed() and not response.will_close and response.status >= 200
        except AnswerBroken:
            # 64 kB of a body are enough to know the status; of headers, they are not.
            if self._status is None or self._answer.bytes_read < MAX_READ:
                raise
        finally:
            response.close()
        return status_failure(response.status)

    def _socket(self) -> socket.socket:
        sock = self.connection.sock
        if sock is None:
            raise ConnectionResetError("the connection is closed")
        return sock

    def _attempt_result(self, failure: Failure | None) -> AttemptResult:
        fresh = not self._reused
        first_byte_at = self._answer.first_byte_at if self._answer else None
        first_byte = (
            first_byte_at - self._sent_at if first_byte_at is not None and self._sent_at is not None else None
        )
        timings = Timings(
            dns=self.connection.dns_seconds if fresh else None,
            connect=self.connection.connect_seconds if fresh else None,
            tls=self._tls_seconds,
            first_byte=first_byte,
            total=time.monotonic() - self._started,
        )
        return AttemptResult(
            status=self._status,
            address=self.connection.peer,
            headers=self._headers,
            body=bytes(self._body),
            timings=timings,
            failure=failure,
        )


def _set_timeout(sock: socket.socket, seconds: float) -> None:
    """Sets it where it is another one: that is a call of the system each time."""
    if sock.gettimeout() != seconds:
        sock.settimeout(seconds)


def _check_whole(response: http.client.HTTPResponse) -> None:
    if response.length and response.isclosed():
        raise AnswerBroken("the connection closed in the middle of it")


def _headers_kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = MAX_HEADERS_KEPT
    for name, value in headers:
        room -= len(name) + len(value)
        if room < 0:
            break
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept
