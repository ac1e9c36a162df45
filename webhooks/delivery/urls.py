"""A webhook's URL as text: parsed once, strictly, when it is saved and again when it is sent to."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

import idna
from django.utils.translation import gettext

from calliyo.errors import DomainError
from webhooks.delivery.addresses import Reach, literal_address

MAX_LENGTH = 2000
_PORTS = {"http": 80, "https": 443}
# Names that never leave one's own network; with allowed networks set, their address decides instead.
_PRIVATE_SUFFIXES = (
    *("localhost", "localdomain", "local", "internal", "intranet", "private"),
    *("lan", "home", "corp", "home.arpa"),
)
# `urlsplit` drops what stands before or after the brackets; here it is refused.
_NETLOC = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")
_UNICODE_DOTS = re.compile("[\u3002\uff0e\uff61]")


class InvalidUrl(DomainError):
    """A webhook URL that is not one, or that may not be sent to."""

    code = "invalid_url"
    field = "url"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL points: `host` is a literal address or an ASCII name, `target` what the request line bears."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        """The `Host` header: without the port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@lru_cache(maxsize=4096)
def parse_url(url: str, reach: Reach) -> Endpoint:
    """The endpoint that `url` names; raises `InvalidUrl` with the reason in words."""
    if len(url) > MAX_LENGTH:
        raise InvalidUrl(gettext("A URL has at most %(most)d characters.") % {"most": MAX_LENGTH})
    if "\\" in url or not url.isprintable() or any(character.isspace() for character in url):
        raise InvalidUrl(gettext("A URL holds no spaces, backslashes or control characters."))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidUrl(gettext("This is not a URL: its host or port can't be read.")) from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidUrl(gettext("A URL begins with https:// and a host, as in https://example.com/hooks."))
    if "@" in parts.netloc:
        raise InvalidUrl(gettext("A URL holds no user name or password; send a header instead."))
    if not _NETLOC.fullmatch(parts.netloc):
        raise InvalidUrl(gettext("This is not a URL: its host or port can't be read."))
    if parts.fragment or url.endswith("#"):
        raise InvalidUrl(gettext("A URL holds no # part: it would never be sent."))
    if port == 0:
        raise InvalidUrl(gettext("Port 0 is not a port."))
    host = _checked_host(parts.hostname, reach, bracketed=parts.netloc.startswith("["))
    endpoint = Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], _target(parts.path, parts.query))
    _check_reach(endpoint, reach)
    return endpoint


def _target(path: str, query: str) -> str:
    safe = "!$%&'()*+,-./:;=?@_~[]"
    return quote(path or "/", safe=safe) + (f"?{quote(query, safe=safe)}" if query else "")


def _checked_host(host: str, reach: Reach, *, bracketed: bool) -> str:
    if _UNICODE_DOTS.search(host) or host.endswith("."):
        raise InvalidUrl(gettext("The host is written with plain dots, and none at its end."))
    if bracketed or ":" in host:
        address = literal_address(host)
        if "%" in host or address is None or address.version != 6:
            raise InvalidUrl(gettext("What is in the brackets is not an IPv6 address."))
        return str(address)
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        # Octal, hexadecimal and short forms mean different addresses to different programs.
        if literal_address(host) is None:
            raise InvalidUrl(
                gettext("An IPv4 address is written as four decimal numbers, as in 203.0.113.7.")
            )
        return host
    return _checked_name(host, reach)


def _checked_name(host: str, reach: Reach) -> str:
    try:
        name = idna.encode(host, strict=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidUrl(gettext("The host name is not valid.")) from error
    is_private = "." not in name or any(name == end or name.endswith(f".{end}") for end in _PRIVATE_SUFFIXES)
    if is_private and not reach.allowed:
        raise InvalidUrl(
            gettext("%(name)s is a name inside a private network, and no private network is allowed.")
            % {"name": name}
        )
    return name


def _check_reach(endpoint: Endpoint, reach: Reach) -> None:
    if reach.is_own(endpoint.host, endpoint.port):
        raise InvalidUrl(gettext("This is the address of one of Calliyo's own services."))
    address = literal_address(endpoint.host)
    plain_http = endpoint.scheme == "http"
    if address is not None:
        refusal = reach.refusal(address, endpoint.port, plain_http=plain_http)
        if refusal:
            raise InvalidUrl(gettext("This URL is not allowed: %(reason)s.") % {"reason": refusal})
    elif plain_http and not reach.allowed:
        raise InvalidUrl(gettext("A URL begins with https://; plain http is for allowed networks only."))
