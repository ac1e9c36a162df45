"""What guessing is counted by: the name and the address that a login comes with."""

from collections.abc import Mapping

from django.http import HttpRequest

from calliyo.api.addresses import client_address


def address_of(request: HttpRequest) -> str:
    """The caller's address behind our proxies; all whose address cannot be told are counted as one."""
    return str(client_address(request) or "0.0.0.0")  # noqa: S104  # no address to listen on


def name_of(request: HttpRequest, credentials: Mapping[str, str] | None) -> str:
    """The name as it is looked up: in any case, so that `Priya` is no fresh start after `priya`."""
    typed = (credentials or request.POST).get("username") or ""
    return typed.replace("\0", "").strip().casefold()[:255]
