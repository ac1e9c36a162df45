"""Which address counts, with and without proxies of ours in between."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliyo.api.addresses import told_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "told"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # no proxy of ours: his header says nothing
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.9, 198.51.100.1", "198.51.100.1"),  # what stands left is the caller's own word
        ("10.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "[2001:db8::5]:443", "2001:db8::5"),
        ("10.0.0.1", "198.51.100.1:5555", "198.51.100.1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", None),
        ("10.0.0.1", "198.51.100.1, nonsense", None),
        ("", "198.51.100.1", None),
    ],
)
def test_the_nearest_address_that_is_no_proxy_counts(peer: str, forwarded_for: str, told: str | None) -> None:
    address = told_address(peer=peer, forwarded_for=forwarded_for, trusted=PROXIES)
    assert address == (ip_address(told) if told else None)


@given(st.text(), st.text())
def test_any_text_is_answered(peer: str, forwarded_for: str) -> None:
    told_address(peer=peer, forwarded_for=forwarded_for, trusted=PROXIES)
