"""TLS against real servers on loopback: who is believed, in which words the others fail, and how long it may take."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.processes import wait_until
from tests.webhooks.certificates import DAY, Authority
from tests.webhooks.engines import new_lead, new_webhook, running_engine
from tests.webhooks.receiver import Receiver, answer, raw, running_receiver
from webhooks.delivery.addresses import reach_of
from webhooks.delivery.failures import FailureCode
from webhooks.delivery.guard import Resolver
from webhooks.delivery.result import AttemptResult
from webhooks.delivery.send import Sender
from webhooks.models import Attempt, Delivery, Webhook

HOST = "receiver.example"
LOOPBACK = reach_of([ip_network("127.0.0.0/8")], [])
AUTHORITY = Authority()


def new_sender(trusted: ssl.SSLContext | None = None, timeout: float = 2.0) -> Sender:
    names = Resolver(lambda host: {HOST: ["127.0.0.1"], "other.example": ["127.0.0.1"]}[host])
    return Sender(reach=LOOPBACK, timeout=timeout, resolver=names, tls=trusted or AUTHORITY.trusted())


def post(port: int, *, host: str = HOST, timeout: float = 2.0) -> AttemptResult:
    sender = new_sender(timeout=timeout)
    try:
        return sender.send(f"https://{host}:{port}/", headers={}, body=b"{}")
    finally:
        sender.close()


@contextmanager
def serving(tls: ssl.SSLContext) -> Iterator[Receiver]:
    with running_receiver() as receiver:
        receiver.tls = tls
        yield receiver


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of one's own kind, on a port; what it is in the middle of ends with the connection."""

    def run() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(sock,), daemon=True).start()

    def one(sock: socket.socket) -> None:
        with sock:
            try:
                serve(sock)
            except OSError:
                return  # the sender gave up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_name_that_the_certificate_bears_is_believed_and_the_connection_kept(tmp_path: Path) -> None:
    with serving(AUTHORITY.server(tmp_path, HOST)) as receiver:
        sender = new_sender()
        first, second = (
            sender.send(f"https://{HOST}:{receiver.port}/", headers={}, body=b"{}") for _ in range(2)
        )
        sender.close()
        assert first.succeeded and second.succeeded and receiver.connections == 1
    assert first.timings.tls is not None and first.timings.tls > 0 and second.timings.tls is None
    assert receiver.received[0].headers["host"].startswith(f"{HOST}:")


def test_an_address_is_believed_by_a_certificate_for_that_address(tmp_path: Path) -> None:
    with serving(AUTHORITY.server(tmp_path, "127.0.0.1")) as receiver:
        assert post(receiver.port, host="127.0.0.1").succeeded


def test_an_expired_certificate_is_told_with_its_date(tmp_path: Path) -> None:
    ended = datetime.now(UTC) - 3 * DAY
    with serving(AUTHORITY.server(tmp_path, HOST, (-5 * DAY, -3 * DAY))) as receiver:
        result = post(receiver.port)
        assert receiver.received == [] and receiver.connections == 2  # the second only to read the date
    assert result.failure is not None and result.failure.code is FailureCode.CERTIFICATE_REFUSED
    assert result.failure.words == f"the certificate expired on {ended.day} {ended:%B %Y}"
    assert result.timings.connect is not None and result.address == "127.0.0.1"


def test_an_expired_authority_is_not_told_as_the_servers_own_end(tmp_path: Path) -> None:
    past = Authority(name="of yesterday", lasts=(-5 * DAY, -1 * DAY))
    with serving(past.server(tmp_path, HOST)) as receiver:
        result = new_sender(past.trusted()).send(f"https://{HOST}:{receiver.port}/", headers={}, body=b"")
    assert result.failure is not None and result.failure.words == "the certificate has expired"


def early(folder: Path) -> ssl.SSLContext:
    return AUTHORITY.server(folder, HOST, (2 * DAY, 5 * DAY))


def other_name(folder: Path) -> ssl.SSLContext:
    return AUTHORITY.server(folder, "other.example")


def self_signed(folder: Path) -> ssl.SSLContext:
    return Authority(name=HOST).self_signed(folder)


def unknown_authority(folder: Path) -> ssl.SSLContext:
    return Authority(name="somebody else").server(folder, HOST)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (early, "the certificate is not valid yet"),
        (other_name, "the certificate is for another host name"),
        (self_signed, "the certificate is self-signed"),
        (unknown_authority, "the certificate is not from an authority that is trusted here"),
    ],
)
def test_other_certificates_are_refused_in_words_and_nothing_is_sent(
    tmp_path: Path, kind: Callable[[Path], ssl.SSLContext], words: str
) -> None:
    with serving(kind(tmp_path)) as receiver:
        result = post(receiver.port)
        assert receiver.received == []
    assert result.failure is not None
    assert (result.failure.code, result.failure.words) == (FailureCode.CERTIFICATE_REFUSED, words)


def plain_http(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def noise(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b"\x16\x03\x03\x00\x40" + random.Random(1).randbytes(64))


def slams(sock: socket.socket) -> None:
    sock.recv(1)


@pytest.mark.parametrize(
    ("serve", "code", "words"),
    [
        (
            plain_http,
            FailureCode.TLS_FAILED,
            "what answers on this port does not speak TLS; is it plain http?",
        ),
        (noise, FailureCode.TLS_FAILED, "TLS failed: "),
        (slams, FailureCode.CONNECTION_CLOSED, "the connection was closed or reset"),
    ],
)
def test_what_is_no_tls_fails_in_words(
    serve: Callable[[socket.socket], None], code: FailureCode, words: str
) -> None:
    with listening(serve) as port:
        result = post(port)
    assert result.failure is not None
    assert result.failure.code is code and result.failure.words.startswith(words)


def test_a_server_that_wants_a_certificate_of_ours_is_told_so(tmp_path: Path) -> None:
    tls = AUTHORITY.server(tmp_path, HOST)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(tmp_path / "server.pem")

    def serve(sock: socket.socket) -> None:
        # What was sent is read to its end: a close before that resets the connection, and the alert may be lost.
        with sock.dup() as spare:
            with pytest.raises(ssl.SSLError):
                tls.wrap_socket(sock, server_side=True)
            spare.shutdown(socket.SHUT_WR)
            while spare.recv(4096):
                pass

    with listening(serve) as port:
        result = post(port)
    assert result.failure is not None
    assert result.failure.words == "the endpoint asks for a certificate of ours, and Calliyo has none"


def silent(sock: socket.socket) -> None:
    sock.recv(4096)
    time.sleep(2)


def dripping_handshake(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a long message of the server's begins
    for _ in range(40):
        time.sleep(0.05)
        sock.sendall(b"\x03")


@pytest.mark.parametrize("serve", [silent, dripping_handshake])
def test_a_handshake_that_does_not_end_is_cut_at_the_deadline(serve: Callable[[socket.socket], None]) -> None:
    with listening(serve) as port:
        result = post(port, timeout=0.5)
    assert result.failure is not None
    assert (result.failure.code, result.failure.words) == (FailureCode.TIMED_OUT, "no answer within 0.5 s")
    assert 0.4 < result.timings.total < 1.5


def test_an_answer_that_drips_through_tls_is_cut_at_the_deadline(tmp_path: Path) -> None:
    with serving(AUTHORITY.server(tmp_path, HOST)) as receiver:
        receiver.default = receiver.drip
        result = post(receiver.port, timeout=0.5)
    assert result.failure is not None and result.failure.code is FailureCode.TIMED_OUT
    assert 0.4 < result.timings.total < 1.5


def test_a_tls_record_that_drips_is_cut_at_the_deadline(tmp_path: Path) -> None:
    """Each byte arrives in time for a `recv`, and none of them makes a record whole."""
    tls = AUTHORITY.server(tmp_path, HOST)

    def serve(sock: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = tls.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        sock.sendall(outgoing.read())
        secure.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        for byte in outgoing.read():
            sock.sendall(bytes([byte]))
            time.sleep(0.05)

    with listening(serve) as port:
        result = post(port, timeout=0.5)
    assert result.failure is not None and result.failure.code is FailureCode.TIMED_OUT
    assert 0.4 < result.timings.total < 1.5


@pytest.mark.django_db(transaction=True)
def test_the_log_holds_all_of_an_attempt_as_it_went_over_the_wire(tmp_path: Path) -> None:
    said = "ä" * 3000
    with serving(AUTHORITY.server(tmp_path, HOST)) as receiver:
        receiver.script = [
            answer(503, body=said.encode(), headers="X-One: 1\r\nX-One: 2\r\n"),
            raw(b"HTTP/1.1 200 OK\r\nX-Nul: \x00\r\nContent-Length: 4\r\n\r\nok\x00\xff"),
        ]
        webhook = new_webhook("https://placeholder.example/", secret="generate", headers={"X-Mine": "1"})
        Webhook.objects.update(url=f"https://{HOST}:{receiver.port}/in?a=b")
        new_lead()
        with running_engine(sender=new_sender()) as engine:
            engine.poke([webhook.pk])
            wait_until(lambda: Delivery.objects.get().state == "delivered")
        sent = receiver.wait_for(2)
    first, second = Attempt.objects.order_by("number")
    for attempt, request in zip((first, second), sent, strict=True):
        logged = {name.lower(): value for name, value in attempt.request_headers.items()}
        assert logged == {**request.headers, "x-mine": "(hidden)"}
        assert request.body == (attempt.delivery.body or attempt.delivery.event.payload).encode()
        assert request.path == "/in?a=b" and attempt.address == "127.0.0.1"
    assert (first.status, first.error_code, first.error) == (503, "status", "the endpoint answered 503")
    assert first.response_headers["X-One"] == "1, 2" and first.response_body == said[:1024]
    assert (second.status, second.error, second.response_body) == (200, "", "ok��")
    times = [first.dns_ms, first.connect_ms, first.tls_ms, first.first_byte_ms]
    assert all(time is not None and time >= 0 for time in times)
    assert sum(time or 0 for time in times) <= first.total_ms + 1
    assert datetime.now(UTC) - first.started_at < timedelta(minutes=1)
