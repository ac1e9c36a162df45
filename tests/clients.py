"""A client of the public API: JSON in and out, with a token of its own."""

import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys.models import APIKey
from apikeys.operations import create_api_key

_numbers = count(1)


class PublicClient:
    """Sends JSON with the key's token, or whatever the test says instead."""

    def __init__(self, key: APIKey, token: str) -> None:
        self.key = key
        self.token = token
        self._client = Client()

    def get(self, path: str, data: Any = None, **headers: Any) -> Any:
        return self._client.get(path, data, headers=self._headers(headers))

    def post(self, path: str, data: Any = None, **headers: Any) -> Any:
        return self._client.post(path, data, "application/json", headers=self._headers(headers))

    def patch(self, path: str, data: Any = None, **headers: Any) -> Any:
        return self._client.patch(path, data, "application/json", headers=self._headers(headers))

    def request(
        self, method: str, path: str, data: Any = b"", content_type: str = "application/json", **more: Any
    ) -> Any:
        headers = self._headers(more.pop("headers", {}))
        return self._client.generic(method, path, data, content_type, headers=headers, **more)

    def form(self, path: str, data: dict[str, Any]) -> Any:
        """Posts `data` as multipart/form-data."""
        return self._client.post(path, data, headers=self._headers({}))

    def raise_errors(self, flag: bool) -> None:
        """Whether a crash of the server is raised in the test (it is, unless told otherwise)."""
        self._client.raise_request_exception = flag

    def _headers(self, more: dict[str, Any]) -> dict[str, str]:
        named = {name.replace("_", "-"): str(value) for name, value in more.items() if value is not None}
        return {"Authorization": f"Bearer {self.token}"} | named


def public_client(*scopes: str, **options: Any) -> PublicClient:
    """A client whose fresh key has these scopes; `options` are those of `create_api_key`."""
    options.setdefault("name", f"Key {next(_numbers)}")
    options.setdefault("rate_limit", 0)
    minted = create_api_key(scopes=scopes, **options)
    return PublicClient(minted.key, minted.token)


def fewest_statements(call: Callable[[], object], *, at_most: int) -> int:
    """How many statements `call` makes at a moment when nobody else ends a transaction at the database cluster.

    Other tests do, in databases of their own; so it is tried until it makes no more than `at_most`, or for long enough.
    """
    until, fewest = time.monotonic() + 20, sys.maxsize
    while fewest > at_most and time.monotonic() < until:
        with CaptureQueriesContext(connection) as queries:
            call()
        fewest = min(fewest, len(queries))
        time.sleep(0.005)
    return fewest


def statements_of_a_list(*, plain: bool = True) -> int:
    """The token, how far it is complete, the page: PostgreSQL says two at once, of a plain list all three."""
    if connection.vendor == "postgresql":
        return 1 if plain else 2
    return 3
