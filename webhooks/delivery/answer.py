"""Answers as most servers write them, read at once: a status, plain headers with a length, the whole body behind them.

Whatever is written in another way is `http.client`'s to read, which takes the longest time of a whole delivery.
"""

import re
from dataclasses import dataclass

# The grammar of RFC 9112 without what is obsolete in it: no folded lines, no bare line feeds, no spaces before a colon.
_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t -~]*)?\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+)\r\n"
)

NO_BODY = {204, 304}
MAX_DIGITS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainAnswer:
    """A whole answer; `kept_alive`: the connection may be used again."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    kept_alive: bool


def plain_answer(data: bytes) -> PlainAnswer | None:
    """The answer that `data` is, no byte less and none more; None where that can't be said at a glance."""
    head = _HEAD.match(data)
    if head is None:
        return None
    headers = []
    status = int(head[1])
    length = None
    kept_alive = True
    for line in head[2].decode("ascii").splitlines():
        name, _, value = line.partition(":")
        value = value.strip(" \t")
        headers.append((name, value))
        lower = name.lower()
        if lower == "content-length":
            if length is not None or not value.isdigit() or len(value) > MAX_DIGITS:
                return None
            length = int(value)
        elif lower in {"transfer-encoding", "upgrade"}:
            return None
        elif lower == "connection":
            kept_alive = kept_alive and value.lower() == "keep-alive"
    if length is None and status in NO_BODY:
        length = 0
    if length != len(data) - head.end() or (length and status in NO_BODY):
        return None
    return PlainAnswer(status=status, headers=headers, body=data[head.end() :], kept_alive=kept_alive)
