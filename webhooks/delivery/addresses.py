"""Which addresses a webhook may reach: pure decisions on an address; nothing here looks up or connects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import idna
from django.utils.translation import gettext

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# Cloud metadata services: what answers there hands out credentials, so no setting allows them.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        *(
            "169.254.169.254",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
        ),  # nearly all; AWS; GCP; Oracle
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # credentials of AWS containers
        *("168.63.129.16", "100.100.100.200", "192.0.0.192"),  # Azure; Alibaba; Oracle's old one
        *("169.254.0.23", "169.254.42.42", "fd00:42::42"),  # Tencent; Scaleway
    )
)
# What `is_global` lets through in one Python version or another, and is nobody's public web server.
_NEVER_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")
# An IPv4 address is in the last 32 bits: NAT64 (well known and of one's own), IPv4-compatible, IPv4-translated.
_IPV4_AT_THE_END = tuple(
    IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")
)
_NAT64_OF_ONES_OWN = IPv6Network("64:ff9b:1::/48")
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
# Where many customers of one provider share an address, told apart by the host name only.
_SHARED_PORTS = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be connected to: public addresses, the `allowed` networks, and never what is our `own`.

    `own` holds (host, port) pairs as text, such as the database's; a name and a literal address alike. What such a
    name stands for is asked when connecting (`own_hosts`, `may_be_shared`).
    """

    allowed: tuple[Network, ...] = ()
    own: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    def in_allowed_network(self, address: Address) -> bool:
        """Whether a setting names the network of `address`."""
        plain = plain_form(address)
        return any(plain.version == network.version and plain in network for network in self.allowed)

    def is_own(self, host: str, port: int) -> bool:
        """Whether one of Calliyo's own services answers at this host and port."""
        return (host.lower(), port) in self.own

    def refusal(self, address: Address, port: int, *, plain_http: bool) -> str | None:
        """Why `address` may not be connected to, in words, or None where it may."""
        plain = plain_form(address)
        carried = carried_ipv4(plain)
        if plain in _METADATA or not _METADATA.isdisjoint(carried):
            return gettext("%(address)s is a cloud metadata address") % {"address": address}
        if any(self._is_own_address(each, port) for each in (plain, *carried)):
            return gettext("port %(port)d of %(address)s is one of Calliyo's own services") % {
                "port": port,
                "address": address,
            }
        if self.in_allowed_network(plain):
            return None
        if plain_http:
            return gettext("plain http is for allowed networks only, and %(address)s is in none") % {
                "address": address
            }
        if is_public(plain):
            return None
        return gettext("%(address)s is not a public address") % {"address": address}

    def own_hosts(self, port: int) -> list[str]:
        """The hosts of Calliyo's own services on this port: names, and literal addresses."""
        return [host for host, own_port in self.own if own_port == port]

    def may_be_shared(self, address: Address, port: int) -> bool:
        """Whether others may be behind the very address and port of one of our services.

        So it is with a public address on the web's ports: our page and a stranger's receiver may be behind the same
        CDN, which sends each request on by its host name. There our service is known by its name alone.
        Elsewhere (any private address, any port of a database) whoever answers at our service's address is it.
        """
        return port in _SHARED_PORTS and is_public(plain_form(address))

    def _is_own_address(self, address: Address, port: int) -> bool:
        if self.is_own(str(address), port):
            return True
        return (address.is_loopback or address.is_unspecified) and self._has_own_loopback(port)

    def _has_own_loopback(self, port: int) -> bool:
        # All of 127.0.0.0/8 is one machine: a service on 127.0.0.1 answers at 127.9.9.9 as well.
        return any(own_port == port and _is_loopback_text(host) for host, own_port in self.own)


def plain_form(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, so that one rule judges both spellings; else itself, without zone."""
    if not isinstance(address, IPv6Address):
        return address
    return address.ipv4_mapped or IPv6Address(address.packed)


def carried_ipv4(address: Address) -> list[Address]:
    """The IPv4 addresses that a translator or tunnel would reach by this IPv6 address."""
    if isinstance(address, IPv4Address):
        return []
    packed = address.packed
    carried: list[Address] = []
    if any(address in network for network in _IPV4_AT_THE_END) or packed[8:12] in _ISATAP:
        carried.append(IPv4Address(packed[12:]))
    if address in _NAT64_OF_ONES_OWN:
        carried.append(
            IPv4Address(packed[6:8] + packed[9:11])
        )  # the place for a prefix of 48 bits (RFC 6052)
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if address.teredo is not None:
        carried.extend(address.teredo)
    return carried


def is_public(address: Address) -> bool:
    """Whether `address` is on the public internet, by rules that hold in every version of Python."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
        return False
    if address.is_multicast or not address.is_global:
        return False
    if any(not is_public(carried) for carried in carried_ipv4(address)):
        return False
    return not any(address.version == network.version and address in network for network in _NEVER_PUBLIC)


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, in the one accepted spelling; None for a name."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def reach_of(allowed: Sequence[Network], own: Sequence[tuple[str, int]]) -> Reach:
    """A `Reach` with the hosts of `own` spelt as those of webhooks are: in lower case and ASCII, addresses plain."""
    return Reach(tuple(allowed), frozenset((_one_spelling(host), port) for host, port in own))


def _one_spelling(host: str) -> str:
    address = literal_address(host)
    if address is not None:
        return str(plain_form(address))
    name = host.lower().removesuffix(".")
    return name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")


def _is_loopback_text(host: str) -> bool:
    address = literal_address(host)
    return host == "localhost" or (address is not None and (address.is_loopback or address.is_unspecified))
