"""One HTTP attempt: kept-alive connections used directly, one deadline over every byte, no redirects.

urllib3 opens the connection (TLS), `Exchange` writes the request and reads the answer.
There is no `Session`: so no redirects, cookies, proxies or credentials from the environment, by construction.
"""

import re
import ssl
import time
from collections.abc import Mapping

import certifi

from webhooks.delivery.addresses import Reach
from webhooks.delivery.deadline import Deadline
from webhooks.delivery.exchange import Exchange
from webhooks.delivery.failures import Failure, FailureCode
from webhooks.delivery.guard import GuardedConnection, GuardedTLSConnection, Resolver
from webhooks.delivery.idle import IdleConnections
from webhooks.delivery.result import AttemptResult, Timings
from webhooks.delivery.turns import Turn
from webhooks.delivery.urls import Endpoint, InvalidUrl, parse_url

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


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
        exchange = Exchange(
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

    def _given_back(self, exchange: "Exchange", result: AttemptResult) -> AttemptResult:
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


Begun = AttemptResult | Exchange
"""A POST that has begun; its result, where it ended at once."""


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
