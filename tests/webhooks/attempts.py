"""Judges the guard by what it does: which addresses a connection was tried to, whatever was said before."""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

Attempts = list[tuple[str, int]]


@contextmanager
def recorded(*, alive: Sequence[str] = ()) -> Iterator[Attempts]:
    """The (address, port) pairs that are connected to meanwhile; none gets anywhere but those that are `alive`."""
    attempts: Attempts = []

    class Recording(socket.socket):
        def connect(self, address: Any) -> None:
            attempts.append((address[0], address[1]))
            if address[0] not in alive:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody is there")
            super().connect(address)

    with patch("webhooks.delivery.guard.socket.socket", Recording):
        yield attempts
