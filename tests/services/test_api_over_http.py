"""The API behind a real web server: what only a socket can send, and a database that goes away."""

import json
import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

from leads.models import Lead
from tests.clients import public_client

PATIENCE = 10
TRIES = 5


@pytest.fixture
def token(transactional_db):
    return public_client("leads:read", "leads:write").token


def exchange(web, *lines: bytes, body: bytes = b"") -> tuple[int, dict]:
    """Sends exactly these bytes and reads the answer, which comes within a second.

    On a busy machine anything may take longer once; what waits for something does so each time.
    """
    for _ in range(TRIES):
        started = time.monotonic()
        answer = answer_to(web, b"\r\n".join([*lines, b"", body]))
        if time.monotonic() - started < 1:
            head, _, content = answer.partition(b"\r\n\r\n")
            return int(head.split()[1]), json.loads(content)
    pytest.fail(f"No answer within a second in {TRIES} tries.")


def answer_to(web, request: bytes) -> bytes:
    """The whole answer to these bytes."""
    address = urlsplit(web.address)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or not complete(answer):
            part = connection.recv(65536)
            if not part:
                break
            answer += part
    return answer


def complete(answer: bytes) -> bool:
    head, _, content = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return bool(lengths) and len(content) >= int(lengths[0].split(b":")[1])


def post_lines(token: str, *more: bytes) -> list[bytes]:
    return [
        b"POST /public/leads HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Content-Type: application/json",
        f"Authorization: Bearer {token}".encode(),
        *more,
    ]


def test_a_gigabyte_that_is_announced_and_never_sent_is_refused_at_once(token, web_server):
    status, problem = exchange(web_server, *post_lines(token, b"Content-Length: 1000000000"))
    assert (status, problem["code"]) == (413, "too_large")


def test_a_body_of_unknown_length_is_refused_and_never_half_read(token, web_server):
    lead = b'{"first_name": "Asha", "phone": "9876543210"}'
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(lead), lead)
    lines = post_lines(token, b"Transfer-Encoding: chunked")
    status, problem = exchange(web_server, *lines, body=chunked)
    assert (status, problem["code"]) == (411, "length_required")
    assert not Lead.objects.exists()


LONG = b"a" * 20_000
UNPARSED = {
    "no HTTP at all": ([b"\x16\x03\x01 hello"], 400, "bad_request"),
    "a line without end": (
        [b"GET /public/leads?search=" + LONG + b" HTTP/1.1", b"Host: x"],
        414,
        "uri_too_long",
    ),
    "bytes in the path": ([b"GET /public/\xff\x00 HTTP/1.1", b"Host: x"], 400, "bad_request"),
    "a space in a header's name": ([b"GET /public/leads HTTP/1.1", b"Bad Name: x"], 400, "bad_request"),
    "a long header": ([b"GET /public/leads HTTP/1.1", b"X-Long: " + LONG], 431, "headers_too_large"),
    "many headers": (
        [b"GET /public/leads HTTP/1.1", *[b"X-%d: y" % number for number in range(500)]],
        431,
        "headers_too_large",
    ),
    "an unknown transfer coding": (
        [b"POST /public/leads HTTP/1.1", b"Host: x", b"Transfer-Encoding: brotli"],
        400,
        "bad_request",
    ),
    "two lengths": (
        [b"POST /public/leads HTTP/1.1", b"Host: x", b"Content-Length: 1", b"Content-Length: 2"],
        400,
        "bad_request",
    ),
}


@pytest.mark.parametrize("lines, status, code", UNPARSED.values(), ids=UNPARSED.keys())
def test_what_no_server_can_parse_is_a_problem_too(token, web_server, lines, status, code):
    told, problem = exchange(web_server, *lines, body=b"\r\n")
    assert (told, problem["code"], problem["status"]) == (status, code, status)
    assert problem["request_id"].startswith("req_")


def test_a_lead_arrives(token, web_server):
    headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "trace-7"}
    lead = {"first_name": "Asha", "phone": "9876543210"}
    answer = requests.post(f"{web_server.address}/public/leads", json=lead, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 201
    assert answer.headers["X-Request-Id"] == "trace-7"
    page = requests.get(f"{web_server.address}/public/leads/", headers=headers, timeout=PATIENCE)
    assert [row["id"] for row in page.json()["results"]] == [answer.json()["id"]]
    assert page.history == []


def test_a_database_that_cannot_be_reached_is_a_503_with_retry_after(token, start_web, unused_database_url):
    web = start_web(DATABASE_URL=unused_database_url)
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{web.address}/public/leads", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.fixture
def unused_database_url():
    """PostgreSQL where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"postgres://nobody:x@127.0.0.1:{probe.getsockname()[1]}/nothing"
