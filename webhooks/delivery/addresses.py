"""Which addresses a webhook may reach: pure decisions on an address; nothing here looks up or connects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# Cloud metadata services: what answers there hands out credentials, so no setting allows them.
_METADATA = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")
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
_NAT64 = IPv6Network("64:ff9b::/96")
_IPV4_COMPATIBLE = IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be connected to: public addresses, the `allowed` networks, and never what is our `own`.

    `own` holds (host, port) pairs as text, such as the database's; a name and a literal address alike.
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
        if plain in _METADATA or not _METADATA.isdisjoint(carried_ipv4(plain)):
            return f"{address} is a cloud metadata address"
        if self.is_own(str(plain), port) or (plain.is_loopback and self._has_own_loopback(port)):
            return f"port {port} of {address} is one of Calliyo's own services"
        if self.in_allowed_network(plain):
            return None
        if plain_http:
            return f"plain http is for allowed networks only, and {address} is in none"
        return None if is_public(plain) else f"{address} is not a public address"

    def _has_own_loopback(self, port: int) -> bool:
        # All of 127.0.0.0/8 is one machine: a service on 127.0.0.1 answers at 127.9.9.9 as well.
        return any(own_port == port and _is_loopback_text(host) for host, own_port in self.own)


def plain_form(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, so that one rule judges both spellings; else itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def carried_ipv4(address: Address) -> list[Address]:
    """The IPv4 addresses that a translator or tunnel would reach by this IPv6 address."""
    if isinstance(address, IPv4Address):
        return []
    carried: list[Address] = (
        [IPv4Address(address.packed[-4:])] if address in _NAT64 or address in _IPV4_COMPATIBLE else []
    )
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
    return not any(address.version == network.version and address in network for network in _NEVER_PUBLIC)


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, in the one accepted spelling; None for a name."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def reach_of(allowed: Sequence[Network], own: Sequence[tuple[str, int]]) -> Reach:
    """A `Reach` with the hosts of `own` in lower case."""
    return Reach(tuple(allowed), frozenset((host.lower(), port) for host, port in own))


def _is_loopback_text(host: str) -> bool:
    address = literal_address(host)
    return host == "localhost" or (address is not None and (address.is_loopback or address.is_unspecified))
