"""What every test stands on."""

import sys
from ipaddress import ip_address

import pytest
from django.core.cache import cache

LOCAL_NAMES = {"localhost", "", None}


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in LOCAL_NAMES:
        return True
    try:
        return ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_the_world(event: str, args: tuple[object, ...]) -> None:
    """An audit hook, so that no way round it is left open: no test talks to anything but this machine."""
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise RuntimeError(f"A test tried to connect to {address!r}.")


sys.addaudithook(_refuse_the_world)


@pytest.fixture(autouse=True)
def empty_cache():
    """Rate limits and the like start anew with each test."""
    cache.clear()
