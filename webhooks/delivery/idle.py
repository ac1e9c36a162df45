"""Connections that wait for their next request."""

import threading
import time
from collections import deque

from urllib3.util.wait import wait_for_read

from webhooks.delivery.guard import GuardedConnection
from webhooks.delivery.urls import Endpoint

MAX_IDLE_SECONDS = 30.0
MAX_AGE_SECONDS = 300.0
"""Then the name is looked up again, however busy the connection: who moves his receiver is followed."""
MAX_IDLE_PER_HOST = 16
MAX_IDLE = 1000


class IdleConnections:
    """Kept-alive connections by scheme, host and port, the latest used first; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_place: dict[tuple[str, str, int], deque[tuple[float, GuardedConnection]]] = {}
        self._count = 0

    def take(self, endpoint: Endpoint) -> GuardedConnection | None:
        """A connection that is still open and silent, as far as can be seen."""
        while True:
            with self._lock:
                kept = self._by_place.get(_place(endpoint))
                if not kept:
                    return None
                since, connection = kept.pop()
                self._count -= 1
            # Readable before anything was asked: the peer closed it, or speaks out of turn.
            now = time.monotonic()
            young = now - since < MAX_IDLE_SECONDS and now - connection.opened_at < MAX_AGE_SECONDS
            if young and not wait_for_read(connection.sock, 0):
                return connection
            connection.close()

    def keep(self, endpoint: Endpoint, connection: GuardedConnection) -> None:
        """Keeps `connection` for the next request; where there is no room, the one idle longest goes."""
        with self._lock:
            kept = self._by_place.setdefault(_place(endpoint), deque())
            kept.append((time.monotonic(), connection))
            self._count += 1
            surplus = [kept.popleft()[1]] if len(kept) > MAX_IDLE_PER_HOST else []
            if self._count > MAX_IDLE:
                surplus += self._aged(time.monotonic() - MAX_IDLE_SECONDS) or [kept.pop()[1]]
            self._count -= len(surplus)
        for old in surplus:
            old.close()

    def _aged(self, before: float) -> list[GuardedConnection]:
        aged = []
        for place, kept in list(self._by_place.items()):
            while kept and kept[0][0] < before:
                aged.append(kept.popleft()[1])
            if not kept:
                del self._by_place[place]
        return aged

    def close(self) -> None:
        """Closes them all."""
        with self._lock:
            everything = [connection for kept in self._by_place.values() for _, connection in kept]
            self._by_place.clear()
            self._count = 0
        for connection in everything:
            connection.close()


def _place(endpoint: Endpoint) -> tuple[str, str, int]:
    return endpoint.scheme, endpoint.host, endpoint.port
