"""What a key may hold: each check gives the value as it is kept, or raises the error for its field."""

import re
from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.translation import gettext

from apikeys.errors import BadAddress, BadExpiry, BadName, BadOrigin, BadRateLimit, UnknownScope
from apikeys.scopes import in_order

NAME_LENGTH: Final = 100
MAX_RATE_LIMIT: Final = 1_000_000
# Emoji of several parts, and words of Persian and of most Indian scripts, are written with them.
_JOINERS: Final = re.compile("[\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}]")


def checked_name(name: str) -> str:
    """The name without spaces around it: 1 to 100 characters, printable but for joiners. Raises BadName."""
    name = name.strip()
    if not name:
        raise BadName(gettext("An API key needs a name."))
    if len(name) > NAME_LENGTH:
        raise BadName(gettext("A name has at most %(most)d characters.") % {"most": NAME_LENGTH})
    shown = _JOINERS.sub("", name)
    if not shown:
        raise BadName(gettext("An API key needs a name."))
    if not shown.isprintable():
        # Nobody sees it, so it has to be named; most come along when a name is pasted.
        hidden = next(character for character in shown if not character.isprintable())
        text = gettext("A name holds printable characters only: it has the invisible U+%(code)s.")
        raise BadName(text % {"code": f"{ord(hidden):04X}"})
    return name


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes, each once, in the product page's order. Raises UnknownScope."""
    try:
        return [scope.value for scope in in_order(scopes)]
    except ValueError as error:
        raise UnknownScope(gettext("There is no such scope: %(scope)s.") % {"scope": error}) from error


def checked_expiry(expires_at: datetime | None) -> datetime | None:
    """A moment to come, or None for a key without an end. Raises BadExpiry."""
    if expires_at is not None and expires_at <= timezone.now():
        raise BadExpiry(gettext("The expiry must lie in the future."))
    return expires_at


def checked_rate_limit(rate_limit: int | None) -> int | None:
    """Requests a minute; 0: no limit, None: the default. Raises BadRateLimit."""
    if rate_limit is not None and not 0 <= rate_limit <= MAX_RATE_LIMIT:
        raise BadRateLimit(
            gettext("The rate limit is requests a minute, from 1 to %(most)d; 0 for none.")
            % {"most": MAX_RATE_LIMIT}
        )
    return rate_limit


def checked_addresses(addresses: Iterable[str]) -> list[str]:
    """Networks in CIDR form, sorted; a bare address is a network of one. Raises BadAddress."""
    networks = []
    for text in addresses:
        try:
            networks.append(str(ip_network(text.strip())))
        except ValueError:
            raise BadAddress(
                gettext("“%(text)s” is not an address or network such as 203.0.113.0/24.") % {"text": text}
            ) from None
    return sorted(set(networks))


def checked_origins(origins: Iterable[str]) -> list[str]:
    """Origins (scheme, host, port) in lower case, sorted. Raises BadOrigin."""
    return sorted({_checked_origin(text.strip().lower()) for text in origins})


def _checked_origin(text: str) -> str:
    wrong = BadOrigin(
        gettext("“%(text)s” is not an origin such as https://www.example.com.") % {"text": text}
    )
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise wrong from None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.scheme not in {"http", "https"} or text != f"{parts.scheme}://{host}{port}" or not host:
        raise wrong
    return text
