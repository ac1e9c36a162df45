"""One HTTP attempt: kept-alive connections used directly, one deadline over every byte, no redirects.

urllib3 opens the connection (TLS), `http.client` reads the answer; the request is written here in one piece.
There is no `Session`: so no redirects, cookies, proxies or credentials from the environment, by construction.
"""

import contextlib
import http
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import certifi

from webhooks.delivery.addresses import Reach
from webhooks.delivery.answer import plain_answer
from webhooks.delivery.deadline import Deadline
from webhooks.delivery.failures import AnswerBroken, Failure, FailureCode, failure_of, status_failure
from webhooks.delivery.guard import GuardedConnection, GuardedTLSConnection, Resolver
from webhooks.delivery.idle import IdleConnections
from webhooks.delivery.turns import PATIENCE, PATIENCE_IN_ALL, Turn
from webhooks.delivery.urls import Endpoint, InvalidUrl, parse_url

MAX_READ = 64 * 1024
MAX_KEPT = 2 * 1024
FIRST_READ = 8 * 1024
MAX_HEADERS_KEPT = 4 * 1024
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds that each step took; `first_byte`: from the request's last byte to the answer's first.

    `dns`, `connect` and `tls` are null on a connection that was kept alive, and where it did not come so far.
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of one attempt: the answer, if there was one, and why it counts as a failure, if it does.

    `body` is the answer's first 2 kB as they came, `address` what was connected to; a `status` may stand beside a
    failure (a body that never ended).
    """

    status: int | None = None
    address: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timings: Timings
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.failure is None


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


class Sender:
    """POSTs to strangers' URLs; one per process, made after the fork, used by many threads."""

    def __init__(
        self,
        *,
        reach: Reach,
        timeout: float,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.reach = reach
        self.timeout = timeout
        self._resolver = resolver or Resolver()
        self._tls = tls or tls_context()
        self._idle = IdleConnections()

    def send(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        turn: Turn | None = None,
    ) -> AttemptResult:
        """One POST of `body` to `url`. Whatever the other side does, a result comes within the timeout.

        `turn` is given up before the other side may keep us waiting.
        """
        return self.end(self.begin(url, headers=headers, body=body), turn)

    def begin(self, url: str, *, headers: Mapping[str, str], body: bytes) -> "Begun":
        """Begins one POST, as far as nobody is waited for: on a kept connection it is sent. `end` is to follow."""
        started, deadline = time.monotonic(), Deadline(self.timeout)
        try:
            endpoint = parse_url(url, self.reach)
        except InvalidUrl as error:
            failure = Failure(FailureCode.URL_REFUSED, error.detail)
            return AttemptResult(timings=Timings(total=time.monotonic() - started), failure=failure)
        request = request_bytes(endpoint, headers, body)
        kept = self._idle.take(endpoint)
        exchange = _Exchange(
            kept or self._connection(endpoint), endpoint, request, deadline, started, self.timeout
        )
        if kept is not None:
            exchange.begin()
        return exchange

    def end(self, begun: "Begun", turn: Turn | None = None) -> AttemptResult:
        """What came of a POST that has begun; `turn` as in `send`."""
        if isinstance(begun, AttemptResult):
            return begun
        turn = turn or Turn()
        result = begun.result(turn)
        if not begun.was_stale:
            return self._given_back(begun, result)
        # The peer closed it between two requests, as any server may: not a failure of the endpoint.
        again = begun.on(self._connection(begun.endpoint))
        return self._given_back(again, again.result(turn))

    def framing(self, url: str, body: bytes) -> dict[str, str]:
        """The headers that `send` puts before the others; none for a URL that it refuses."""
        try:
            return _framing(parse_url(url, self.reach), body)
        except InvalidUrl:
            return {}

    def close(self) -> None:
        """Closes the connections that are idle."""
        self._idle.close()

    def _given_back(self, exchange: "_Exchange", result: AttemptResult) -> AttemptResult:
        if exchange.reusable:
            self._idle.keep(exchange.endpoint, exchange.connection)
        else:
            exchange.connection.close()
        return result

    def _connection(self, endpoint: Endpoint) -> GuardedConnection:
        connection: GuardedConnection
        if endpoint.scheme == "https":
            connection = GuardedTLSConnection(endpoint.host, endpoint.port, ssl_context=self._tls)
        else:
            connection = GuardedConnection(endpoint.host, endpoint.port)
        connection.reach = self.reach
        connection.resolver = self._resolver
        return connection


class _Exchange:
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

    def on(self, connection: GuardedConnection) -> "_Exchange":
        """The same request anew, on another connection; its time goes on."""
        return _Exchange(
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


Begun = AttemptResult | _Exchange
"""A POST that has begun; its result, where it ended at once."""


def _set_timeout(sock: socket.socket, seconds: float) -> None:
    """Sets it where it is another one: that is a call of the system each time."""
    if sock.gettimeout() != seconds:
        sock.settimeout(seconds)


def _check_whole(response: http.client.HTTPResponse) -> None:
    if response.length and response.isclosed():
        raise AnswerBroken("the connection closed in the middle of it")


def tls_context() -> ssl.SSLContext:
    """Verifies against the system's certificate authorities and certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def request_bytes(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> bytes:
    """The whole request; raises `ValueError` for a header that would change its meaning."""
    lines = [f"POST {endpoint.target} HTTP/1.1"]
    for name, value in {**_framing(endpoint, body), **headers}.items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} can't be sent")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _framing(endpoint: Endpoint, body: bytes) -> dict[str, str]:
    return {"Host": endpoint.host_header, "Content-Length": str(len(body))}


def _headers_kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = MAX_HEADERS_KEPT
    for name, value in headers:
        room -= len(name) + len(value)
        if room < 0:
            break
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept
