"""Answers that are read at a glance: what is taken is what `http.client` would read, the rest is left to it."""

import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.delivery.answer import plain_answer


class Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def as_http_client_reads(data: bytes) -> tuple[int, list[tuple[str, str]], bytes, bool]:
    response = http.client.HTTPResponse(Socket(data), method="POST")  # type: ignore[arg-type]
    response.begin()
    body = response.read()
    return response.status, response.getheaders(), body, not response.will_close


NAMES = st.sampled_from(
    [
        "Content-Type",
        "content-length",
        "Content-Length",
        "Connection",
        "Server",
        "Transfer-Encoding",
        "X-A",
        "Date",
    ]
)
VALUES = st.sampled_from(
    [
        "2",
        "0",
        "02",
        "+2",
        "1_0",
        "2, 2",
        "",
        "close",
        "keep-alive",
        "Close, TE",
        "chunked",
        "nginx",
        "a: b",
        " 2 ",
    ]
)
BREAKS = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r\n ", " \r\n"])
LINES = st.lists(st.tuples(NAMES, st.sampled_from([": ", ":", " : "]), VALUES, BREAKS), max_size=5).map(
    lambda lines: "".join("".join(line) for line in lines)
)
STATUS = st.sampled_from(
    ["HTTP/1.1 200 OK", "HTTP/1.1 204", "HTTP/1.1 204 ", "HTTP/1.0 200 OK", "HTTP/1.1 503 No"]
)


@given(status=STATUS, lines=LINES, body=st.sampled_from(["", "ok", "okHTTP/1.1", "0\r\n\r\n"]))
def test_what_is_read_at_a_glance_is_what_http_client_reads(status: str, lines: str, body: str) -> None:
    data = f"{status}\r\n{lines}\r\n{body}".encode()
    plain = plain_answer(data)
    if plain is None:
        return
    code, headers, content, kept_alive = as_http_client_reads(data)
    stripped = [(name, value.strip()) for name, value in headers]
    assert (plain.status, plain.headers, plain.body) == (code, stripped, content)
    assert kept_alive or not plain.kept_alive


def test_an_ordinary_answer_is_read_whole() -> None:
    plain = plain_answer(
        b"HTTP/1.1 202 Accepted\r\nServer: nginx\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
    )
    assert plain is not None
    assert (plain.status, plain.body, plain.kept_alive) == (202, b"ok", True)
    assert plain.headers == [("Server", "nginx"), ("Content-Length", "2"), ("Connection", "keep-alive")]
    nothing = plain_answer(b"HTTP/1.1 204 No Content\r\nServer: nginx\r\n\r\n")
    assert nothing is not None and nothing.body == b""
    last = plain_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert last is not None and not last.kept_alive


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\noke",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n b\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_whatever_is_not_plain_is_left_to_http_client(data: bytes) -> None:
    assert plain_answer(data) is None
