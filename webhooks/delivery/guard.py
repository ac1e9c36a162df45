"""The guard in the connection: the address that is connected to is the address that was checked.

A name is looked up once per connection; one bad answer among good ones refuses the lot. The host name stays
what it was, so TLS verifies the name. Nothing here reads a proxy or credentials from the environment.

A connection that is kept alive stays with the address that it was checked for, and what is allowed (`Reach`) does not
change while its sender lives: a name that moves meanwhile, to wherever, is looked up and checked with the next
connection, after five minutes at the latest (`idle.MAX_AGE_SECONDS`).
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime
from ipaddress import ip_address

import urllib3.connection
from cryptography import x509

from webhooks.delivery.addresses import Address, Reach, carried_ipv4, literal_address, plain_form
from webhooks.delivery.deadline import Deadline, DeadlinePassed

MAX_LOOKUPS = 256
NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
# A dead address costs at least so much of an attempt, however many there are: a share of 50 ms would be too short
# for a live one on the other side of the earth.
SHORTEST_TRY = 2.0
LONGEST_DIAGNOSIS = 3.0
_CERTIFICATE_HAS_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


class Refused(Exception):
    """The host's address may not be connected to. Not an `OSError`: urllib3 would wrap that, or try again."""


class LookupTimedOut(Exception):
    """The host name was not resolved in time."""


class CertificateExpired(Exception):
    """The host's certificate has ended, at `on`."""

    def __init__(self, on: datetime) -> None:
        super().__init__(f"{on:%Y-%m-%d}")
        self.on = on


Lookup = Callable[[str], list[str]]


def system_lookup(host: str) -> list[str]:
    """All addresses of `host` from the system's resolver, in its order of preference, each once."""
    # As bytes: Python's own idea of international names (IDNA 2003) stays out of it.
    answers = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
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
    opened_at: float = 0.0

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
        self._refuse_own_services(addresses)
        sock = self._connected_to_one_of(addresses)
        self.opened_at = time.monotonic()
        self.connect_seconds = self.opened_at - looked_up
        self.peer = str(sock.getpeername()[0])
        # Bounds the TLS handshake that follows as a whole.
        sock.settimeout(self.deadline.remaining())
        return sock

    def _refuse_own_services(self, addresses: list[Address]) -> None:
        """Refuses what one of our services answers at, by whatever other name or address of the same machine."""
        hosts = self.reach.own_hosts(self.port)
        suspects = [each for each in addresses if not self.reach.may_be_shared(each, self.port)]
        if not hosts or not suspects:
            return
        own = {plain_form(found) for host in hosts for found in self._own_addresses(host)}
        own_is_here = any(is_of_this_machine(address) for address in own)
        for address in suspects:
            plain = plain_form(address)
            if not own.isdisjoint([plain, *carried_ipv4(plain)]) or (
                own_is_here and is_of_this_machine(plain)
            ):
                raise Refused(f"port {self.port} of {address} is one of Calliyo's own services")

    def _own_addresses(self, host: str) -> list[Address]:
        try:
            return self.resolver.addresses(host, self.deadline)
        except (LookupTimedOut, OSError) as error:
            if isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME:
                return []
            raise Refused(f"whether port {self.port} is Calliyo's own {host} can't be told now") from error

    def _connected_to_one_of(self, addresses: list[Address]) -> socket.socket:
        failure: OSError = OSError("the host name has no address")
        for tried, address in enumerate(addresses):
            # Time is left for the addresses after this one: a dead first one must not use it all up.
            left = self.deadline.remaining()
            share = max(left / (len(addresses) - tried), min(left, SHORTEST_TRY))
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


def is_of_this_machine(address: Address) -> bool:
    """Whether `address` is this machine's own: only such a one can be bound to. Sends nothing."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
        return True


def _check_peer(sock: socket.socket, address: Address) -> None:
    peer = ip_address(str(sock.getpeername()[0]).partition("%")[0])
    if peer != address:
        raise Refused(f"connected to {peer} instead of {address}")


class GuardedTLSConnection(GuardedConnection, urllib3.connection.HTTPSConnection):
    """The same with TLS: urllib3 verifies the certificate against the host name."""

    plain_http = False

    def connect(self) -> None:
        """Connects; raises `CertificateExpired` where that is why, and the date is to be had."""
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            ended = self._ended_on() if error.verify_code == _CERTIFICATE_HAS_EXPIRED else None
            if ended is None:
                raise
            raise CertificateExpired(ended) from error

    def _ended_on(self) -> datetime | None:
        """When the certificate ended. A handshake that fails shows none, so the same address is asked once more.

        Nothing is sent on that second connection, and nothing but the date is believed.
        """
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        try:
            timeout = min(self.deadline.remaining(), LONGEST_DIAGNOSIS)
            with (
                self._connected(ip_address(self.peer or ""), timeout) as plain,
                unverified.wrap_socket(plain, server_hostname=self.host) as sock,
            ):
                shown = x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"")
        except (OSError, ValueError, DeadlinePassed, Refused):
            return None  # the handshake's own error tells enough
        ended = shown.not_valid_after_utc
        # Else it is not the host's own, but one that vouches for it.
        return ended if ended < datetime.now(UTC) else None
