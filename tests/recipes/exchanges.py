"""The requests that a page shows, each with the answer below it, sent to a live server and compared."""

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from tests.pages import Page

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_OPAQUE = frozenset({"request_id", "next_after"})


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request or an answer as a page shows it; of an answer, `start` is the status line."""

    start: str
    headers: dict[str, str]
    body: str


@dataclass(kw_only=True)
class Conversation:
    """Sends a page's requests in their order. The page's ids stand for those that the server gave."""

    address: str
    token: str
    ids: dict[int, int] = field(default_factory=dict)

    def hold(self, page: Page) -> int:
        """Sends every request of the page and compares its answer; how many there were."""
        exchanges = list(shown(page))
        for request, answer in exchanges:
            self._compare(request, answer)
        return len(exchanges)

    def _compare(self, request: Message, answer: Message | None) -> None:
        method, path, _ = request.start.split()
        headers = {**request.headers, "Authorization": f"Bearer {self.token}"}
        headers.pop("Host", None)
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        connection.request(method, self._real(path), self._real(request.body).encode() or None, headers)
        got = connection.getresponse()
        text = got.read().decode()
        connection.close()
        told = f"{request.start}: {got.status} {text}"
        if answer is None:
            assert got.status < 300, told
            return
        assert answer.start.split()[1] == str(got.status), told
        for name, value in answer.headers.items():
            assert got.headers[name] == value, told
        if got.headers["Content-Type"] in {"application/json", "application/problem+json"}:
            self._same(json.loads(answer.body), json.loads(text), told)
        else:
            assert text.splitlines() == self._real(answer.body).splitlines(), told

    def _real(self, text: str) -> str:
        """With the server's ids and address in the place of the page's."""
        text = text.replace("https://crm.example.com", settings.BASE_URL)
        for of_page, real in self.ids.items():
            text = re.sub(rf"(?<![\w+]){of_page}(?!\w)", str(real), text)
        return text

    def _same(self, page: Any, real: Any, told: str, name: str = "") -> None:
        """The same names and values; ids, moments and what is opaque may differ, but not in kind."""
        assert type(page) is type(real), (name, told)
        if isinstance(page, dict):
            assert list(page) == list(real), (name, told)
            for key in page:
                self._same(page[key], real[key], told, key)
        elif isinstance(page, list):
            assert len(page) == len(real), (name, told)
            for one, other in zip(page, real, strict=True):
                self._same(one, other, told, name)
        elif isinstance(page, int) and (name == "id" or name.endswith("_id")):
            assert self.ids.setdefault(page, real) == real, (name, told)
        elif isinstance(page, str) and name in _OPAQUE:
            assert real, (name, told)
        elif isinstance(page, str) and _MOMENT.fullmatch(page):
            assert _MOMENT.fullmatch(real), (name, told)
        else:
            assert self._real(page) == real if isinstance(page, str) else page == real, (name, told)


def shown(page: Page) -> Iterator[tuple[Message, Message | None]]:
    """Each request of the page, with the answer that the next block shows, if it is one."""
    messages = [_message(block.text) for block in page.blocks("http")]
    for message, behind in zip(messages, [*messages[1:], None], strict=True):
        if not message.start.startswith("HTTP/"):
            yield message, behind if behind and behind.start.startswith("HTTP/") else None


def _message(text: str) -> Message:
    head, _, body = text.rstrip("\n").partition("\n\n")
    start, *lines = head.splitlines()
    return Message(start=start, headers=dict(line.split(": ", 1) for line in lines), body=body)
