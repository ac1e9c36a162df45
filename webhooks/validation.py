"""What a subscription may hold: each check gives the clean value or raises an error that names its field."""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext

from apikeys.models import APIKey
from calliyo.errors import DomainError
from webhooks import secrets
from webhooks.catalogue import EventType, needed_scope
from webhooks.delivery.configured import configured_reach
from webhooks.delivery.send import HEADER_NAME, HEADER_VALUE
from webhooks.delivery.target import OWN_HEADERS
from webhooks.delivery.urls import InvalidUrl, parse_url
from webhooks.models import Ordering

GENERATE = "generate"
MAX_HEADERS = 10
MAX_HEADER_NAME = 100
MAX_HEADER_LENGTH = 1000
MAX_RATE_LIMIT = 1_000_000
# Ours to set, or of one connection only: a person's value would change where a request ends, or what it says it is.
_HOP_BY_HOP = frozenset(
    (
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "http2-settings",
    )
)
_PREFIXES_OF_OURS = ("content-", "proxy-", "x-calliyo-", "webhook-")


class InvalidSubscription(DomainError):
    """Something about a webhook that can't be so; `field` names it."""

    code = "invalid"


class MissingEventScope(DomainError):
    """The key lacks the scope that an event needs; `event` and `scope` say which."""

    code = "insufficient_scope"
    field = "events"


def checked_url(url: object) -> str:
    """`url` as it came; raises `InvalidUrl`."""
    if not isinstance(url, str):
        raise InvalidUrl(gettext("A URL is text."))
    parse_url(url, configured_reach())
    return url


def checked_events(events: Iterable[str], api_key: APIKey) -> list[str]:
    """The events, each once, in the catalogue's order."""
    if isinstance(events, str):
        raise InvalidSubscription(gettext("Events are a list of names."), field="events")
    names = set(events)
    unknown = sorted(names - {event.value for event in EventType})
    if unknown:
        raise InvalidSubscription(
            gettext("There is no event %(event)r.") % {"event": unknown[0]}, field="events"
        )
    if not names:
        raise InvalidSubscription(gettext("A webhook needs at least one event."), field="events")
    chosen = [event for event in EventType if event in names]
    for event in chosen:
        if needed_scope(event) not in api_key.scopes:
            raise missing_scope(event)
    return [event.value for event in chosen]


def missing_scope(event: EventType) -> MissingEventScope:
    """What is raised for an event that a key may not hear of."""
    scope = needed_scope(event)
    return MissingEventScope(
        gettext("%(event)s needs the scope %(scope)s, which this API key does not have.")
        % {"event": event, "scope": scope},
        event=event.value,
        scope=scope,
    )


def checked_secret(secret: str | None) -> str | None:
    """The secret to keep: none, a new one for `generate`, or the typed one."""
    if secret is None or secret == "":
        return None
    if secret == GENERATE:
        return secrets.generate_secret()
    secrets.check_secret(secret)
    return secret


def checked_headers(headers: Mapping[str, object] | None) -> dict[str, str]:
    """Headers that are sent along: at most ten, none of ours, none that means the connection."""
    if not isinstance(headers, Mapping | None):
        raise InvalidSubscription(gettext("Headers are an object of names and values."), field="headers")
    headers = dict(headers or {})
    checked: dict[str, str] = {}
    if len(headers) > MAX_HEADERS:
        raise InvalidSubscription(
            gettext("At most %(most)d headers are sent along.") % {"most": MAX_HEADERS}, field="headers"
        )
    if len({str(name).lower() for name in headers}) < len(headers):
        raise InvalidSubscription(gettext("A header is given twice."), field="headers")
    for name, value in headers.items():
        checked[name] = _checked_header(name, value)
    return checked


def _checked_header(name: object, value: object) -> str:
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name) or len(name) > MAX_HEADER_NAME:
        raise InvalidSubscription(
            gettext("%(name)r is not a header's name.") % {"name": str(name)[:40]}, field="headers"
        )
    lower = name.lower()
    if lower in OWN_HEADERS or lower in _HOP_BY_HOP or lower.startswith(_PREFIXES_OF_OURS):
        raise InvalidSubscription(
            gettext("The header %(name)s is set by Calliyo.") % {"name": name}, field="headers"
        )
    if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value) or len(value) > MAX_HEADER_LENGTH:
        raise InvalidSubscription(
            gettext("The value of %(name)s is at most %(most)d plain ASCII characters.")
            % {"name": name, "most": MAX_HEADER_LENGTH},
            field="headers",
        )
    if value != value.strip():
        raise InvalidSubscription(
            gettext("The value of %(name)s begins or ends with a space.") % {"name": name}, field="headers"
        )
    return value


def checked_ordering(ordering: str) -> str:
    """One of the three orderings."""
    if ordering not in Ordering.values:
        raise InvalidSubscription(
            gettext("Ordering is one of %(words)s.") % {"words": ", ".join(Ordering.values)}, field="ordering"
        )
    return ordering


def checked_rate_limit(rate_limit: int | None) -> int | None:
    """Deliveries a minute; None for no limit."""
    if rate_limit is not None and not 1 <= rate_limit <= MAX_RATE_LIMIT:
        raise InvalidSubscription(
            gettext("A rate limit is 1 to %(most)d deliveries a minute, or none.") % {"most": MAX_RATE_LIMIT},
            field="rate_limit",
        )
    return rate_limit
