"""One attempt against real sockets: what succeeds, what fails and in which words, and how long it takes."""

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.webhooks.receiver import Behaviour, Receiver, answer, raw, running_receiver
from webhooks.delivery.addresses import Reach, reach_of
from webhooks.delivery.failures import FailureCode
from webhooks.delivery.guard import Resolver
from webhooks.delivery.result import AttemptResult
from webhooks.delivery.send import Sender, request_bytes
from webhooks.delivery.urls import Endpoint

OK = b"HTTP/1.1 200 OK\r\n"
LOOPBACK = reach_of([ip_network("127.0.0.0/8")], [])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def sender() -> Iterator[Sender]:
    sender = Sender(reach=LOOPBACK, timeout=0.6)
    yield sender
    sender.close()


def post(sender: Sender, url: str, body: bytes = b'{"a":1}') -> AttemptResult:
    return sender.send(url, headers={"X-Calliyo-Event": "lead.created"}, body=body)


def resolving(names: dict[str, list[str]]) -> Resolver:
    return Resolver(lambda host: names[host])


def test_a_2xx_answer_is_success_with_its_parts_kept(receiver: Receiver, sender: Sender) -> None:
    receiver.default = answer(201, body=b"x" * 5000, headers="X-One: 1\r\nX-One: 2\r\n")
    result = post(sender, receiver.url)
    assert result.succeeded
    assert (result.status, result.body) == (201, b"x" * 2048)
    assert result.headers["X-One"] == "1, 2"
    assert result.timings.connect is not None and result.timings.first_byte is not None
    assert 0 < result.timings.total < 0.6
    [request] = receiver.received
    assert (request.path, request.body) == ("/hook", b'{"a":1}')
    assert request.headers["x-calliyo-event"] == "lead.created"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_connections_are_kept_alive(receiver: Receiver, sender: Sender) -> None:
    assert all(post(sender, receiver.url).succeeded for _ in range(5))
    assert receiver.connections == 1
    assert post(sender, receiver.url).timings.connect is None


def test_a_connection_that_the_peer_closed_while_idle_is_replaced_without_a_failure(
    receiver: Receiver, sender: Sender
) -> None:
    assert post(sender, receiver.url).succeeded
    receiver.drop_connections()
    assert post(sender, receiver.url).succeeded
    receiver.script = [receiver.close_silently]  # closes only once the request is there
    assert post(sender, receiver.url).succeeded
    assert receiver.connections == 3


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (answer(500), FailureCode.STATUS, "the endpoint answered 500"),
        (answer(410), FailureCode.STATUS, "the endpoint answered 410"),
        (answer(302, headers="Location: https://example.com/\r\n"), FailureCode.REDIRECT, "redirects (302)"),
        (raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), FailureCode.ANSWER_BROKEN, "not HTTP"),
        (raw(b""), FailureCode.CONNECTION_CLOSED, "closed without an answer"),
        (raw(OK + b"Content-Length: 9\r\n\r\nhalf"), FailureCode.ANSWER_BROKEN, "in the middle"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nx"), FailureCode.ANSWER_BROKEN, "broken"),
        (raw(OK + b"X-A: " + b"a" * 70_000), FailureCode.ANSWER_BROKEN, "broken"),
        (raw(b"HTTP/1.1 102 Processing\r\n\r\n" * 5000), FailureCode.ANSWER_BROKEN, "longer than 64 kB"),
        (raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), FailureCode.STATUS, "the endpoint answered 101"),
        (raw(OK + b"X-A: a\r\n" * 200 + b"\r\n"), FailureCode.ANSWER_BROKEN, "broken"),
    ],
)  # fmt: skip
def test_failures_are_told_in_plain_words(
    receiver: Receiver, sender: Sender, behaviour: Behaviour, code: FailureCode, words: str
) -> None:
    receiver.default = behaviour
    result = post(sender, receiver.url)
    assert result.failure is not None
    assert result.failure.code is code
    assert words in result.failure.words
    assert len(receiver.received) == 1  # a redirect is not followed, and nothing is sent twice


def test_an_answer_without_a_length_ends_with_the_connection(receiver: Receiver, sender: Sender) -> None:
    receiver.default = raw(b"HTTP/1.0 200 OK\r\n\r\nwhole")
    result = post(sender, receiver.url)
    assert result.succeeded and result.body == b"whole"


def test_a_huge_answer_is_read_up_to_64_kb_only_and_its_status_counts(
    receiver: Receiver, sender: Sender
) -> None:
    receiver.default = answer(200, body=b"x" * 10_000_000)
    result = post(sender, receiver.url)
    assert result.succeeded and len(result.body) == 2048
    assert post(sender, receiver.url).succeeded
    assert receiver.connections == 2  # the rest of the first was not waited for


def test_compressed_answers_are_never_unpacked(receiver: Receiver, sender: Sender) -> None:
    receiver.default = answer(200, body=b"\x1f\x8b not really", headers="Content-Encoding: gzip\r\n")
    assert post(sender, receiver.url).body == b"\x1f\x8b not really"


@pytest.mark.parametrize("how", ["hang", "drip", "late"])
def test_whoever_does_not_answer_in_time_is_cut_off(receiver: Receiver, sender: Sender, how: str) -> None:
    receiver.default = answer(delay=6) if how == "late" else getattr(receiver, how)
    before = time.monotonic()
    result = post(sender, receiver.url)
    assert 0.5 < time.monotonic() - before < 3
    assert result.failure is not None
    assert (result.failure.code, result.failure.words) == (FailureCode.TIMED_OUT, "no answer within 0.6 s")


def test_a_receiver_that_reads_nothing_is_cut_off(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = post(sender, f"http://127.0.0.1:{listener.getsockname()[1]}/", body=b"x" * 20_000_000)
    assert result.failure is not None and result.failure.code is FailureCode.TIMED_OUT
    assert result.timings.total < 3


def test_nobody_listens(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = post(sender, f"http://127.0.0.1:{port}/")
    assert result.failure is not None and result.failure.code is FailureCode.CONNECTION_REFUSED


def test_an_unknown_host_name_is_told() -> None:
    def nothing(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    result = post(Sender(reach=LOOPBACK, timeout=1, resolver=Resolver(nothing)), "http://nobody.example/")
    assert result.failure is not None
    assert (result.failure.code, result.failure.words) == (
        FailureCode.HOST_UNKNOWN,
        "the host name does not exist",
    )


def test_a_name_server_that_hangs_is_cut_off_and_costs_one_thread_a_name() -> None:
    asked = []

    def hang(host: str) -> list[str]:
        asked.append(host)
        time.sleep(1.5)
        return ["127.0.0.1"]

    sender = Sender(reach=LOOPBACK, timeout=0.2, resolver=Resolver(hang))
    for _ in range(3):
        result = post(sender, "http://slow.example/")
        assert result.failure is not None and result.failure.code is FailureCode.LOOKUP_TIMED_OUT
        assert result.timings.total < 1.4
    assert asked == ["slow.example"]


@pytest.mark.parametrize(
    "answers", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["127.0.0.1", "169.254.169.254"]]
)
def test_one_bad_address_among_good_ones_refuses_the_lot(receiver: Receiver, answers: list[str]) -> None:
    sender = Sender(reach=LOOPBACK, timeout=1, resolver=resolving({"mixed.example": answers}))
    result = post(sender, f"http://mixed.example:{receiver.port}/")
    assert result.failure is not None and result.failure.code is FailureCode.ADDRESS_REFUSED
    assert receiver.connections == 0


def test_without_allowed_networks_loopback_is_never_connected_to(receiver: Receiver) -> None:
    sender = Sender(reach=Reach(), timeout=1, resolver=resolving({"rebound.example": ["127.0.0.1"]}))
    result = post(sender, f"https://rebound.example:{receiver.port}/")
    assert result.failure is not None and result.failure.code is FailureCode.ADDRESS_REFUSED
    assert post(sender, receiver.url).failure is not None
    assert receiver.connections == 0


def test_a_dead_first_address_falls_over_to_the_next(receiver: Receiver) -> None:
    resolver = resolving({"two.example": ["127.0.0.2", "127.0.0.1"]})
    sender = Sender(reach=LOOPBACK, timeout=1, resolver=resolver)
    assert post(sender, f"http://two.example:{receiver.port}/").succeeded
    assert receiver.received[0].headers["host"] == f"two.example:{receiver.port}"
    sender.close()


def test_proxies_and_netrc_of_the_environment_are_not_read(
    receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert post(sender, receiver.url).succeeded
    assert "authorization" not in receiver.received[0].headers


@pytest.mark.parametrize(
    "headers", [{"X-A": "a\r\nX-B: b"}, {"X A": "a"}, {"X-A": "ü"}, {"X-A:": "a"}, {"": "a"}]
)
def test_a_header_that_would_change_the_request_is_not_sent(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="can't be sent"):
        request_bytes(Endpoint("https", "example.com", 443, "/"), headers, b"")
