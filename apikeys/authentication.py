"""`Authorization: Bearer cly_live_…`, and nothing else: no session, no cookie, no query string."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from ipaddress import ip_network
from typing import Any, Final

import structlog
from django.contrib.auth.models import AnonymousUser
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db.models import CharField, Field, Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apikeys import tokens
from apikeys.callers import API_KEY, CALLED_BY, Caller
from apikeys.models import APIKey
from apikeys.origins import is_allowed_origin
from apikeys.throttling import REFUSALS, what_is_left
from calliyo.actor import Actor, ActorType
from calliyo.api.addresses import Address, client_address, is_within
from calliyo.api.lists import Listing, page_statement
from calliyo.api.pagination import Slice, position_values
from calliyo.api.problems import Refusal
from calliyo.api.request_id import current_request_id
from calliyo.api.sync import Horizon, HorizonHere
from calliyo.statements import Joined, Parameter, Statement

log = structlog.get_logger(__name__)

CHALLENGE: Final = 'Bearer realm="calliyo"'
LAST_USED_EVERY: Final = timedelta(minutes=1)
# What no request needs to know of its key is read only where it is asked for.
_NOT_READ: Final = frozenset(
    {
        "created_by_type", "created_by_id", "created_by_name", "last_used_address", "version", "updated_at",
    }
)  # fmt: skip


class BearerAuthentication(BaseAuthentication):
    """Turns a token into a Caller, or refuses as the contract's table of *Tokens* says."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Caller]:
        """The caller as `request.auth`; `request.user` is nobody, as no member of staff asks here."""
        token = _token_of(request.META.get("HTTP_AUTHORIZATION", ""))
        # Hashed first, looked up by the unique digest: the time taken tells nothing of the secret.
        key, horizon = _key_for(tokens.digest(token), request)
        if key is not None:
            request.META[CALLED_BY] = key.pk  # counted and, if refused, noted under it (`apikeys.counting`)
        now = timezone.now()
        if key is None or key.expired(now):
            raise _unauthorized(
                "invalid_token",
                "The token is unknown, was regenerated or deleted, or has expired.",
                error="invalid_token",
            )
        if not key.active:
            raise _unauthorized("key_inactive", "The API key is deactivated.")
        if key.allowed_addresses and not _is_allowed(client_address(request), key.allowed_addresses):
            detail = "This API key may not be used from this address."
            left = what_is_left(request, key)
            raise Refusal(status=403, code="address_not_allowed", detail=detail, headers=left)
        if not is_allowed_origin(request, key):
            detail = "This API key may not be used by web pages of this origin."
            left = what_is_left(request, key)
            raise Refusal(status=403, code="origin_not_allowed", detail=detail, headers=left)
        if key.last_used_at is None or key.last_used_at <= now - LAST_USED_EVERY:
            _note_use(key, client_address(request))
        structlog.contextvars.bind_contextvars(api_key=key.pk)
        return AnonymousUser(), _caller(key, horizon)

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401 that somebody else raises."""
        return CHALLENGE


def _key_for(digest: str, request: Request) -> tuple[APIKey | None, datetime | None]:
    """The key, in one round trip with what a list needs besides: its horizon, and its page where that is a plain one.

    What was read of the page is left with the view, which shows it if the key is let in.
    """
    view = request.parser_context["view"]
    is_list = isinstance(view, Listing) and getattr(view, "action", None) == "list"
    if not is_list or connection.vendor != "postgresql":
        return _key_with(digest)
    may_read = view.reads_ahead(request) and not REFUSALS.hold(digest)
    plan = view.planned_ahead(request) if may_read else None
    if plan is None:
        return _key_with(digest, Horizon)
    position = position_values(view.model, plan.ordering, plan.cursor)
    joined = _key_and_page(type(view), plan.piece)  # type: ignore[arg-type]  # classes can be hashed
    found, rows = joined.fetch({"digest": digest, **position})
    if found is None:
        return None, None
    key = _key_of([field.to_python(found[field.attname]) for field in _key_fields()])
    if plan.cursor is not None:  # which bears its list's horizon
        view.found_ahead = rows
        return key, None
    horizon = found["horizon"] and datetime.fromisoformat(found["horizon"])
    if horizon is not None:
        view.found_ahead = rows
    return key, horizon


def _key_with(digest: str, horizon: type[Horizon] | None = None) -> tuple[APIKey | None, datetime | None]:
    """The key, and the horizon of what is read next where that is asked for."""
    found = _statement_of_keys(horizon).fetch({"digest": digest}, prepared=True)  # type: ignore[arg-type]  # as above
    if not found:
        return None, None
    row = found[0]
    return _key_of(row[: len(_key_fields())]), row[-1] if horizon else None


def _key_of(values: Sequence[Any]) -> APIKey:
    return APIKey.from_db(DEFAULT_DB_ALIAS, _key_columns(), values)


@cache
def _key_fields() -> "list[Field[Any, Any]]":
    return [field for field in APIKey._meta.concrete_fields if field.name not in _NOT_READ]


@cache
def _key_columns() -> list[str]:
    return [field.attname for field in _key_fields()]


@cache
def _statement_of_keys(horizon: type[Horizon] | None = None) -> Statement:
    digest = Parameter("digest", CharField())
    columns: list[str | Horizon] = [*_key_columns(), *([horizon()] if horizon else [])]
    return Statement.of(APIKey.objects.order_by().filter(digest=digest).values_list(*columns))


@lru_cache(maxsize=1024)
def _key_and_page(listing: type[Listing], piece: Slice) -> Joined:
    """Both in one statement, which reads the page for an active key alone; a list's first page with its horizon."""
    page = page_statement(listing, piece, (), ends_at_as_of=False)  # type: ignore[arg-type]  # as above
    first = piece.after is None
    key = _statement_of_keys(HorizonHere if first else None)
    columns = [*_key_columns(), *(["horizon"] if first else [])]
    return Joined.of(key, page, columns=columns, where="active", given={API_KEY: "id"})


def _token_of(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    token = tokens.parse(rest.strip(" ")) if scheme.lower() == "bearer" else None
    if token is None:
        raise _unauthorized("not_authenticated", "Send the API key's token: Authorization: Bearer cly_live_…")
    return token


def _unauthorized(code: str, detail: str, *, error: str | None = None) -> Refusal:
    challenge = f'{CHALLENGE}, error="{error}"' if error else CHALLENGE
    return Refusal(status=401, code=code, detail=detail, headers={"WWW-Authenticate": challenge})


def _is_allowed(address: Address | None, allowed: list[str]) -> bool:
    return address is not None and is_within(address, [ip_network(text) for text in allowed])


def _note_use(key: APIKey, address: Address | None) -> None:
    """At most one write a minute, whoever comes first: a busy key must not turn its reads into writes."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_EVERY)
    told = str(address) if address else None
    try:
        APIKey.objects.filter(stale, pk=key.pk).update(last_used_at=now, last_used_address=told)
    except OperationalError as error:
        # A database that only reads now, or is locked for long, still answers what was asked.
        log.warning("authentication.use_not_noted", error=str(error))


def _caller(key: APIKey, horizon: datetime | None) -> Caller:
    actor = Actor(type=ActorType.API_KEY, id=key.pk, name=key.name, request_id=current_request_id())
    return Caller(key=key, actor=actor, scopes=frozenset(key.scopes), horizon=horizon)
