"""The guard in the connection: the address that is connected to is the address that was checked.

A name is looked up once per connection; one bad answer among good ones refuses the lot. The host name stays
what it was, so TLS verifies the name. Nothing here reads a proxy or credentials from the environment.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from ipaddress import ip_address

import urllib3.connection

from webhooks.delivery.addresses import Address, Reach, literal_address
from webhooks.delivery.deadline import Deadline, DeadlinePassed

MAX_LOOKUPS = 64


class Refused(Exception):
    """The host's address may not be connected to. Not an `OSError`: urllib3 would wrap that, or try again."""


class LookupTimedOut(Exception):
    """The host name was not resolved in time."""


Lookup = Callable[[str], list[str]]


def system_lookup(host: str) -> list[str]:
    """All addresses of `host` from the system's resolver, in its order of preference, each once."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


class Resolver:
    """Looks names up with a time limit, which `getaddrinfo` has not: each look-up has a thread of its own.

    Look-ups of one name at the same time share one thread, so that a name server that hangs costs one thread
    a name; at most `MAX_LOOKUPS` run at once.
    """

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._running: dict[str, Future[list[str]]] = {}

    def addresses(self, host: str, deadline: Deadline) -> list[Address]:
        """Every address of `host`; raises `LookupTimedOut`, or the `OSError` of the look-up."""
        literal = literal_address(host)
        if literal is not None:
            return [literal]
        try:
            found = self._started(host).result(timeout=deadline.remaining())
        except (FutureTimeout, DeadlinePassed) as error:
            raise LookupTimedOut(host) from error
        return [ip_address(text.partition("%")[0]) for text in found]

    def _started(self, host: str) -> Future[list[str]]:
        with self._lock:
            future = self._running.get(host)
            if future is not None:
                return future
            if len(self._running) >= MAX_LOOKUPS:
                raise LookupTimedOut(f"{MAX_LOOKUPS} look-ups are already running")
            future = self._running[host] = Future()
        threading.Thread(target=self._run, args=(host, future), name="calliyo-lookup", daemon=True).start()
        return future

    def _run(self, host: str, future: Future[list[str]]) -> None:
        try:
            found = self._lookup(host)
        except Exception as error:  # noqa: BLE001 (whatever it is, who waits for the future gets it)
            outcome: list[str] | Exception = error
        else:
            outcome = found
        with self._lock:
            del self._running[host]
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


class GuardedConnection(urllib3.connection.HTTPConnection):
    """A plain connection that opens its socket only to an address that `reach` allows."""

    plain_http = True
    deadline: Deadline
    dns_seconds: float | None = None
    connect_seconds: float | None = None
    peer: str | None = None

    reach: Reach
    resolver: Resolver

    def _new_conn(self) -> socket.socket:
        started = time.monotonic()
        addresses = self.resolver.addresses(self.host, self.deadline)
        looked_up = time.monotonic()
        self.dns_seconds = looked_up - started
        for address in addresses:
            refusal = self.reach.refusal(address, self.port, plain_http=self.plain_http)
            if refusal:
                raise Refused(refusal)
        sock = self._connected_to_one_of(addresses)
        self.connect_seconds = time.monotonic() - looked_up
        self.peer = str(sock.getpeername()[0])
        # Bounds the TLS handshake that follows as a whole.
        sock.settimeout(self.deadline.remaining())
        return sock

    def _connected_to_one_of(self, addresses: list[Address]) -> socket.socket:
        failure: OSError = OSError("the host name has no address")
        for tried, address in enumerate(addresses):
            # Time is left for the addresses after this one: a dead first one must not use it all up.
            share = self.deadline.remaining() / (len(addresses) - tried)
            try:
                return self._connected(address, share)
            except OSError as error:
                failure = error
        raise failure

    def _connected(self, address: Address, timeout: float) -> socket.socket:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(timeout)
            sock.connect((str(address), self.port))
            _check_peer(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        """Closes the socket; one that is already broken is no matter."""
        with contextlib.suppress(OSError):
            super().close()


def _check_peer(sock: socket.socket, address: Address) -> None:
    peer = ip_address(str(sock.getpeername()[0]).partition("%")[0])
    if peer != address:
        raise Refused(f"connected to {peer} instead of {address}")


class GuardedTLSConnection(GuardedConnection, urllib3.connection.HTTPSConnection):
    """The same with TLS: urllib3 verifies the certificate against the host name."""

    plain_http = False
