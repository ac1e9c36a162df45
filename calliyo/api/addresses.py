"""Which address a request comes from, when it may have passed proxies of ours."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from django.conf import settings
from django.http import HttpRequest

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def client_address(request: HttpRequest) -> Address | None:
    """The caller's address; None when it cannot be told (a nonsense header from a trusted proxy)."""
    return told_address(
        peer=request.META.get("REMOTE_ADDR", ""),
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
        trusted=settings.CALLIYO_TRUSTED_PROXIES,
    )


def told_address(*, peer: str, forwarded_for: str, trusted: Sequence[Network]) -> Address | None:
    """The nearest address that is no proxy of ours, read from the peer backwards through `X-Forwarded-For`.

    What stands left of that address was written by the caller himself and says nothing.
    """
    address = parsed(peer)
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
    while address is not None and hops and is_within(address, trusted):
        address = parsed(hops.pop())
    return address


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether `address` lies in any of `networks`; versions never match each other."""
    return any(address in network for network in networks)


def parsed(text: str) -> Address | None:
    """The address in `text`, without port and brackets; an IPv4 address in IPv6 clothes as itself."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
