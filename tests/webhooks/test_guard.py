"""The guard in the connection, judged by the connections that are attempted, against a resolver of the tests."""

import socket
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhooks.attempts import recorded
from tests.webhooks.receiver import answer, running_receiver
from webhooks.delivery.addresses import Reach, carried_ipv4, is_public, plain_form, reach_of
from webhooks.delivery.failures import FailureCode
from webhooks.delivery.guard import Refused, Resolver, is_of_this_machine
from webhooks.delivery.idle import MAX_AGE_SECONDS
from webhooks.delivery.result import AttemptResult
from webhooks.delivery.send import Sender

EVERYTHING = reach_of([ip_network("0.0.0.0/0"), ip_network("::/0")], [])
TLS = ssl.create_default_context()
NOWHERE = str(IPv4Address(0))
GOOD, OTHER = "93.184.215.14", "93.184.215.15"
REFUSALS = {FailureCode.URL_REFUSED, FailureCode.ADDRESS_REFUSED}


def sent(
    url: str, answers: dict[str, list[str]] | Callable[[str], list[str]], reach: Reach | None = None
) -> AttemptResult:
    lookup = answers if callable(answers) else lambda host: answers[host]
    sender = Sender(reach=reach or Reach(), timeout=1.0, resolver=Resolver(lookup), tls=TLS)
    try:
        return sender.send(url, headers={}, body=b"{}")
    finally:
        sender.close()


def refused(result: AttemptResult) -> bool:
    return result.failure is not None and result.failure.code in REFUSALS


@pytest.mark.parametrize(
    "bad",
    [
        "127.0.0.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "168.63.129.16",
        "100.64.0.1", "100.100.100.200", NOWHERE, "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1",
        "2002:a00:1::1", "2001:0:a00:1::", "2001:db8::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1",
        "fec0::1", "2606:4700::5efe:10.0.0.1", "3fff::1",
    ],
)  # fmt: skip
def test_a_bad_answer_of_the_resolver_is_never_connected_to_nor_are_the_good_ones_beside_it(bad: str) -> None:
    for answers in ([bad], [GOOD, bad], [bad, GOOD]):
        with recorded() as attempts:
            result = sent("https://receiver.example/", {"receiver.example": answers})
        assert refused(result) and attempts == []


def test_what_was_checked_is_what_is_connected_to_and_a_dead_first_address_falls_over() -> None:
    with recorded() as attempts:
        result = sent(
            "https://receiver.example:8443/", {"receiver.example": [GOOD, "2606:4700::1111", OTHER]}
        )
    assert attempts == [(GOOD, 8443), ("2606:4700::1111", 8443), (OTHER, 8443)]
    assert result.failure is not None and result.failure.code is FailureCode.CONNECTION_REFUSED


def test_a_name_that_answers_otherwise_at_the_second_look_up_gains_nothing() -> None:
    answers = iter([[GOOD], ["127.0.0.1"], ["127.0.0.1", GOOD]])
    with recorded() as attempts:
        results = [sent("https://rebinding.example/", lambda _: next(answers)) for _ in range(3)]
    assert attempts == [(GOOD, 443)]  # one look-up an attempt: what it said was checked, and connected to
    assert [refused(result) for result in results] == [False, True, True]


def test_a_kept_connection_stays_with_its_checked_address_and_is_looked_up_anew_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = ["127.0.0.1"]
    reach = reach_of([ip_network("127.0.0.1/32")], [])
    sender = Sender(reach=reach, timeout=1.0, resolver=Resolver(lambda _: now))
    with running_receiver() as receiver, recorded(alive=["127.0.0.1"]) as attempts:
        url = f"http://moving.example:{receiver.port}/"
        assert sender.send(url, headers={}, body=b"1").succeeded
        now = ["127.0.0.2"]
        assert sender.send(url, headers={}, body=b"2").succeeded
        monkeypatch.setattr("webhooks.delivery.idle.MAX_AGE_SECONDS", 0.0)
        assert refused(sender.send(url, headers={}, body=b"3"))
        assert attempts == [("127.0.0.1", receiver.port)] and receiver.connections == 1
        assert [request.body for request in receiver.received] == [b"1", b"2"]
    assert 0 < MAX_AGE_SECONDS <= 600
    sender.close()


def test_whoever_turns_out_to_be_another_peer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reach = reach_of([ip_network("127.0.0.0/8")], [])
    with running_receiver() as receiver:
        with socket.create_server(("127.0.0.1", 0)) as other:
            elsewhere = other.getsockname()
            monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("127.0.0.9", elsewhere[1]))
            result = sent(receiver.url, {}, reach)
        monkeypatch.undo()
        assert refused(result) and receiver.received == []
    assert result.failure is not None and "127.0.0.9 instead of 127.0.0.1" in result.failure.words


def test_a_refusal_is_none_of_the_errors_that_urllib3_tries_again() -> None:
    assert not issubclass(Refused, OSError)


@pytest.mark.parametrize(
    "metadata",
    [
        "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254",
        "::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::", "2001:0:a9fe:a9fe::",
        "fe80::5efe:169.254.169.254", "fd00:ec2::254%eth0",
    ],
)  # fmt: skip
def test_metadata_addresses_are_never_reached_not_even_with_every_network_allowed(metadata: str) -> None:
    with recorded() as attempts:
        result = sent("http://metadata.example/latest/", {"metadata.example": [metadata]}, EVERYTHING)
    assert refused(result) and attempts == []


OWN = [("crm.example.com", 443), ("db", 5432), ("cache.example.com", 6379), ("127.0.0.1", 8000)]
OWN_ANSWERS = {
    "crm.example.com": [GOOD],
    "db": ["10.0.0.5"],
    "cache.example.com": [OTHER],
    "alias.example": ["10.0.0.5"],
    "twin.example": [OTHER],
    "neighbour.example": [GOOD],
    "here.example": ["127.8.8.8"],
}


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com/", "http://DB:5432/", "https://cache.example.com:6379/",  # by name
        "http://10.0.0.5:5432/", "http://[::ffff:10.0.0.5]:5432/", "http://[64:ff9b::10.0.0.5]:5432/",  # by address
        "http://alias.example:5432/", "https://twin.example:6379/",  # by another name
        "http://127.9.9.9:8000/", "http://here.example:8000/", "http://[::1]:8000/", "http://0.0.0.0:8000/",
    ],
)  # fmt: skip
def test_our_own_services_are_refused_by_every_name_and_address(url: str) -> None:
    everything = reach_of(EVERYTHING.allowed, OWN)
    with recorded() as attempts:
        assert refused(sent(url, OWN_ANSWERS, everything))
    assert attempts == []


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://neighbour.example/", (GOOD, 443)),  # behind the same CDN as our page
        ("http://alias.example:8080/", ("10.0.0.5", 8080)),  # another service on the database's machine
        ("http://here.example:9000/", ("127.8.8.8", 9000)),
    ],
)
def test_neighbours_of_our_services_are_not(url: str, address: tuple[str, int]) -> None:
    with recorded() as attempts:
        sent(url, OWN_ANSWERS, reach_of(EVERYTHING.allowed, OWN))
    assert attempts == [address]


def test_a_service_on_this_machine_is_refused_at_every_address_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "webhooks.delivery.guard.is_of_this_machine",
        lambda address: str(address) in {"127.0.0.1", "10.0.0.7"},
    )
    reach = reach_of(EVERYTHING.allowed, [("127.0.0.1", 5432)])
    with recorded() as attempts:
        assert refused(sent("http://10.0.0.7:5432/", {}, reach))
        sent("http://10.0.0.8:5432/", {}, reach)
    assert attempts == [("10.0.0.8", 5432)]


def test_which_addresses_are_this_machines() -> None:
    assert all(is_of_this_machine(ip_address(text)) for text in ("127.0.0.1", "127.3.2.1", "::1", NOWHERE))
    assert not any(is_of_this_machine(ip_address(text)) for text in ("192.0.2.1", "2001:db8::1"))


def test_an_own_service_whose_name_can_not_be_looked_up_now_refuses_rather_than_guesses() -> None:
    reach = reach_of(EVERYTHING.allowed, [("db", 5432)])

    def failing(code: int) -> Callable[[str], list[str]]:
        def lookup(host: str) -> list[str]:
            if host == "db":
                raise socket.gaierror(code, "no")
            return ["10.0.0.5"]

        return lookup

    with recorded() as attempts:
        assert refused(sent("http://alias.example:5432/", failing(socket.EAI_AGAIN), reach))
        sent(
            "http://alias.example:5432/", failing(socket.EAI_NONAME), reach
        )  # no such name, so no such address
    assert attempts == [("10.0.0.5", 5432)]


@pytest.mark.parametrize(
    ("url", "answers", "goes"),
    [
        ("http://localhost:9000/", ["127.0.0.1"], True),
        ("http://n8n:5678/hook", ["10.1.2.3"], False),  # the name passes, its address does not
        ("https://n8n/", [GOOD], True),
        ("http://example.com/", [GOOD], False),  # plain http to a public address
        ("http://example.com/", ["127.0.0.1"], True),
        ("http://example.com/", ["127.0.0.1", GOOD], False),
        ("https://example.com/", [GOOD, "127.0.0.1"], True),
    ],
)
def test_with_allowed_networks_the_address_decides_on_short_names_and_plain_http(
    url: str, answers: list[str], goes: bool
) -> None:
    with recorded() as attempts:
        result = sent(url, lambda _: answers, reach_of([ip_network("127.0.0.0/8")], []))
    assert refused(result) is not goes
    assert {address for address, _ in attempts} == (set(answers) if goes else set())


# ── Spellings ───────────────────────────────────────────────────────────────────────────────────────────

INTERESTING = st.sampled_from(
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.0.1", "100.100.100.200", NOWHERE, "8.8.8.8", GOOD]
)
IPV4 = st.one_of(INTERESTING.map(IPv4Address), st.ip_addresses(v=4))
STYLES = ("{}", "0{:o}", "0x{:x}", "0X{:X}", "{:04d}", "0x{:010x}")


@st.composite
def ipv4_spellings(draw: st.DrawFn) -> str:
    """Any of `inet_aton`'s: one to four parts, each decimal, octal or hexadecimal, with zeros as one likes."""
    number = int(draw(IPV4))
    count = draw(st.integers(1, 4))
    last = number & ((1 << (8 * (5 - count))) - 1)
    parts = [(number >> (8 * (3 - n))) & 0xFF for n in range(count - 1)] + [last]
    spelt = ".".join(draw(st.sampled_from(STYLES)).format(part) for part in parts)
    fancy = draw(st.sampled_from(["", "dots", "digits", "trailing"]))
    match fancy:
        case "dots":
            return spelt.replace(".", draw(st.sampled_from("。．｡")))
        case "digits":
            return spelt.translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})
        case "trailing":
            return spelt + "."
    return spelt


@st.composite
def ipv6_spellings(draw: st.DrawFn) -> str:
    """Addresses that carry an IPv4 address in one of the known ways, and any others, in long and short forms."""
    inner = int(draw(IPV4))
    carrier = draw(
        st.sampled_from(
            [
                inner, 0xFFFF << 32 | inner, 0xFFFF << 48 | inner, 0x64FF9B << 96 | inner, 0x2002 << 112 | inner << 80,
                0x20010000 << 96 | inner << 64, 0x20010000 << 96 | (inner ^ 0xFFFFFFFF),
                0x26064700 << 96 | 0x5EFE << 32 | inner, 0x0064FF9B0001 << 80 | inner,
            ]
        )
    )  # fmt: skip
    address = draw(st.one_of(st.just(IPv6Address(carrier)), st.ip_addresses(v=6)))
    text = draw(st.sampled_from([address.compressed, address.exploded, address.compressed.upper()]))
    return text + draw(st.sampled_from(["", "", "%eth0", "%25eth0", "%1"]))


def by_inet_aton(host: str) -> list[str]:
    """As `getaddrinfo` takes a numeric host: it asks the C library's `inet_aton` first."""
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError as error:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from error


def all_public(attempts: list[tuple[str, int]]) -> bool:
    return all(is_public(plain_form(ip_address(address))) for address, _ in attempts)


@settings(max_examples=500, deadline=None)
@given(ipv4_spellings())
def test_no_spelling_of_an_ipv4_address_reaches_one_that_is_not_public(spelling: str) -> None:
    with recorded() as attempts:
        sent(f"https://{spelling}/", by_inet_aton)
        # The same where the text came past the first look: the verdict is the address's.
        sent("https://named.example/", lambda _: by_inet_aton(spelling))
    assert all_public(attempts)


@settings(max_examples=500, deadline=None)
@given(ipv6_spellings())
def test_no_spelling_of_an_ipv6_address_reaches_one_that_is_not_public(spelling: str) -> None:
    with recorded() as attempts:
        sent(f"https://[{spelling}]/", {})
        sent("https://named.example/", lambda _: [spelling.replace("%25", "%")])
    assert all_public(attempts)
    for address, _ in attempts:
        assert all(is_public(inner) for inner in carried_ipv4(ip_address(address)))


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=30), st.sampled_from(["https://", "http://", "HTTPS:", ""])
)
def test_whatever_is_typed_is_refused_in_words_or_goes_where_its_host_resolves(
    text: str, scheme: str
) -> None:
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return [GOOD]

    with recorded() as attempts:
        result = sent(f"{scheme}{text}", lookup)
    assert result.failure is not None
    if refused(result):
        assert attempts == []
    else:
        assert all_public(attempts) and len(attempts) == 1
        assert all(host.isascii() and host == host.lower() for host in asked)


def test_an_interim_answer_is_not_the_answer() -> None:
    reach = reach_of([ip_network("127.0.0.0/8")], [])
    sender = Sender(reach=reach, timeout=1.0)
    with running_receiver() as receiver:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"

        def hinting(sock: socket.socket, request: object) -> bool:
            sock.sendall(hints)
            return answer(500)(sock, request)  # type: ignore[arg-type]

        receiver.script = [hinting]
        first = sender.send(receiver.url, headers={}, body=b"1")
        second = sender.send(receiver.url, headers={}, body=b"2")
    sender.close()
    assert (first.status, second.status) == (500, 200)
