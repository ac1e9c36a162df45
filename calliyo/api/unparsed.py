"""What the web server refuses before Django sees it (no HTTP, a line or a header too long), in the contract's form."""

from http import HTTPStatus
from typing import Final, Protocol

import orjson

from calliyo.api.problems import CONTENT_TYPE, Problem, members
from calliyo.api.request_id import HEADER, new_request_id

_KNOWN: Final = {
    414: Problem(status=414, code="uri_too_long", detail="The address with its query is too long."),
    431: Problem(
        status=431, code="headers_too_large", detail="There are too many headers, or one is too long."
    ),
}


class Connection(Protocol):
    """A socket, as far as it is needed here."""

    def sendall(self, data: bytes, /) -> object: ...


def refuse_unparsed(connection: Connection, status: int, reason: str, detail: str) -> None:
    """Answers a problem in place of the web server's own page; for its hook `gunicorn.util.write_error`."""
    connection.sendall(unparsed_answer(status))


def unparsed_answer(status: int) -> bytes:
    """The whole answer, head and body. A transfer coding that the server lacks is the caller's mistake, no 501."""
    bad_request = Problem(
        status=status if status < 500 else 400, code="bad_request", detail="The request cannot be read."
    )
    problem = _KNOWN.get(status, bad_request)
    request_id = new_request_id()
    body = orjson.dumps({**members(problem), "request_id": request_id})
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{HEADER}: {request_id}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
