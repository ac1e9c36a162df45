"""A receiver for developers: takes webhooks on loopback, verifies their signatures, and tells what came."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from webhooks import signing

MAX_BODY = 1024 * 1024


class Verdict(StrEnum):
    """What one signature header says of the request."""

    VERIFIED = "verified"
    WRONG = "wrong"
    MISSING = "missing"
    UNVERIFIED = "unverified"  # there is one, and no secret to check it with


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request as it came; `lag_ms` from the event's timestamp to its arrival, where the body tells it."""

    event: str
    id: str
    sequence: str
    lag_ms: int | None
    calliyo_signature: Verdict
    standard_signature: Verdict
    body: Any
    answered: int

    @property
    def trusted(self) -> bool:
        """Whether both signatures hold."""
        return {self.calliyo_signature, self.standard_signature} == {Verdict.VERIFIED}


def arrival_of(
    headers: Mapping[str, str], body: bytes, *, secret: str | None, now: float, answered: int
) -> Arrival:
    """What a request is, judged by its headers (names in lower case) and raw body."""
    content = _parsed(body)
    about = content if isinstance(content, dict) else {}
    return Arrival(
        event=headers.get("x-calliyo-event", ""),
        id=headers.get(signing.STANDARD_ID, ""),
        sequence=headers.get("x-calliyo-sequence", ""),
        lag_ms=_lag(about.get("timestamp"), now),
        calliyo_signature=_calliyo_verdict(headers, body, secret, now),
        standard_signature=_standard_verdict(headers, body, secret, now),
        body=content,
        answered=answered,
    )


class Listener(ThreadingHTTPServer):
    """Answers each POST with `status` after `delay` seconds, and hands what came to `tell`."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, *, port: int, secret: str | None, status: int, delay: float, tell: Callable[[Arrival], None]
    ) -> None:
        self.secret = secret
        self.status = status
        self.delay = delay
        self.tell = tell
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is no reason for a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            return self._answer(411 if not length else 413)
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.tell(
            arrival_of(headers, body, secret=self.server.secret, now=time.time(), answered=self.server.status)
        )
        time.sleep(self.server.delay)
        return self._answer(self.server.status)

    def _answer(self, status: int) -> None:
        with contextlib.suppress(ConnectionError):  # the sender's patience is over; it has been told
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """What comes is told by `tell`."""


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _lag(timestamp: object, now: float) -> int | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return round((now - datetime.fromisoformat(timestamp).timestamp()) * 1000)
    except ValueError:
        return None


def _calliyo_verdict(headers: Mapping[str, str], body: bytes, secret: str | None, now: float) -> Verdict:
    header = headers.get(signing.CALLIYO_SIGNATURE.lower())
    if header is None:
        return Verdict.MISSING
    if secret is None:
        return Verdict.UNVERIFIED
    holds = signing.calliyo_signature_holds(header, secret=secret, body=body, now=int(now))
    return Verdict.VERIFIED if holds else Verdict.WRONG


def _standard_verdict(headers: Mapping[str, str], body: bytes, secret: str | None, now: float) -> Verdict:
    if signing.STANDARD_SIGNATURE not in headers:
        return Verdict.MISSING
    if secret is None:
        return Verdict.UNVERIFIED
    holds = signing.standard_signature_holds(headers, secret=secret, body=body, now=int(now))
    return Verdict.VERIFIED if holds else Verdict.WRONG
