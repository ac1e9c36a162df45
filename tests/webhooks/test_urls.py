"""URLs as text, and addresses: what may be sent to."""

from ipaddress import ip_address, ip_network

import pytest

from webhooks.delivery.addresses import Reach, is_public, reach_of
from webhooks.delivery.urls import InvalidUrl, parse_url

PUBLIC = Reach()
LOOPBACK = reach_of([ip_network("127.0.0.0/8"), ip_network("::1/128")], [("db", 5432), ("127.0.0.1", 8000)])


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "host_header"),
    [
        ("https://example.com", "example.com", 443, "/", "example.com"),
        ("https://EXAMPLE.com:8443/a?b=c&d", "example.com", 8443, "/a?b=c&d", "example.com:8443"),
        (
            "https://bücher.example/ä%20b",
            "xn--bcher-kva.example",
            443,
            "/%C3%A4%20b",
            "xn--bcher-kva.example",
        ),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        (
            "https://[2606:4700:4700::1111]:444/x",
            "2606:4700:4700::1111",
            444,
            "/x",
            "[2606:4700:4700::1111]:444",
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, target: str, host_header: str) -> None:
    endpoint = parse_url(url, PUBLIC)
    assert (endpoint.host, endpoint.port, endpoint.target, endpoint.host_header) == (
        host,
        port,
        target,
        host_header,
    )


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "ftp://example.com/", "javascript:alert(1)", "https://", "https:///x",
        "https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/",
        "https://example.com\\@evil.example/", "https://exa mple.com/", "https://example.com/a b",
        "https://example.com/\n", "https://example.com/\x00", "\thttps://example.com/", "https://example.com/\u2028",
        "https://example.com/#x", "https://example.com/#", "https://example.com:0/", "https://example.com:70000/",
        "https://example.com:x/", "https://[::1/", "https://[fe80::1%25eth0]/", "https://[127.0.0.1]/",
        "https://example.com./", "https://example。com/", "https://１２７.0.0.1/", "https://a_b.com/", "https://-a.com/",
        "https://a..com/", "https://xn--a.com/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://2130706433/",
        "https://127.1/", "https://1.2.3.4.5/", "https://0x7f000001/", "https://0x/", "https://256.1.1.1/",
        "https://localhost/", "https://n8n/", "https://db.internal/", "https://printer.local/", "https://x.localhost/",
        "https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/", "https://[fd00:ec2::254]/", "https://100.64.0.1/", "https://0.0.0.0/",
        "http://example.com/", "http://8.8.8.8/", "https://example.com/" + "x" * 2000,
    ],
)  # fmt: skip
def test_other_urls_are_refused_in_words(url: str) -> None:
    with pytest.raises(InvalidUrl) as refusal:
        parse_url(url, PUBLIC)
    assert refusal.value.field == "url"
    assert refusal.value.detail.endswith(".")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/hook", "http://localhost:9000/", "http://n8n:5678/x", "https://[::1]/"]
)
def test_allowed_networks_open_plain_http_and_short_names(url: str) -> None:
    parse_url(url, LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "http://db:5432/", "https://DB:5432/", "http://127.0.0.1:8000/", "http://127.0.0.9:8000/",
        "http://[::1]:8000/", "http://[::ffff:127.0.0.1]:8000/", "http://10.0.0.1/", "http://8.8.8.8/",
    ],
)  # fmt: skip
def test_our_own_services_and_other_networks_stay_closed(url: str) -> None:
    with pytest.raises(InvalidUrl):
        parse_url(url, LOOPBACK)


def test_metadata_addresses_are_never_allowed() -> None:
    everything = reach_of([ip_network("0.0.0.0/0"), ip_network("::/0")], [])
    for text in (
        "169.254.169.254",
        "168.63.129.16",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "64:ff9b::a9fe:a9fe",  # by a translator (NAT64)
        "::169.254.169.254",
        "2002:a9fe:a9fe::1",  # by a tunnel (6to4)
    ):
        assert everything.refusal(ip_address(text), 80, plain_http=False)
    assert everything.refusal(ip_address("10.0.0.1"), 80, plain_http=True) is None


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "203.0.114.1", "2606:4700:4700::1111", "2a00:1450::1"]
)
def test_public_addresses(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.8",
        "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::127.0.0.1", "64:ff9b::a00:1", "100::1", "2001::1", "2001:db8::1",
        "2002:a00:1::", "3fff::1", "fc00::1", "fe80::1", "ff02::1", "fec0::1", "4000::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))
