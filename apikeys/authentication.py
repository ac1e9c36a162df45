"""`Authorization: Bearer cly_live_…`, and nothing else: no session, no cookie, no query string."""

from datetime import datetime
from ipaddress import ip_network
from typing import Final

import structlog
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apikeys import last_use, tokens
from apikeys.callers import CALLED_BY, Caller
from apikeys.lookup import key_for
from apikeys.models import APIKey
from apikeys.origins import is_allowed_origin
from apikeys.throttling import what_is_left
from calliyo.actor import Actor, ActorType
from calliyo.api.addresses import Address, client_address, is_within
from calliyo.api.problems import Refusal
from calliyo.api.request_id import current_request_id

CHALLENGE: Final = 'Bearer realm="calliyo"'


class BearerAuthentication(BaseAuthentication):
    """Turns a token into a Caller, or refuses as the contract's table of *Tokens* says."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Caller]:
        """The caller as `request.auth`; `request.user` is nobody, as no member of staff asks here."""
        token = _token_of(request.META.get("HTTP_AUTHORIZATION", ""))
        # Hashed first, looked up by the unique digest: the time taken tells nothing of the secret.
        key, horizon = key_for(tokens.digest(token), request)
        request.META.pop(CALLED_BY, None)  # of an attempt before this one
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
        if last_use.is_due(key, now):
            last_use.note_use(key, client_address(request))
        structlog.contextvars.bind_contextvars(api_key=key.pk)
        return AnonymousUser(), _caller(key, horizon)

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401 that somebody else raises."""
        return CHALLENGE


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


def _caller(key: APIKey, horizon: datetime | None) -> Caller:
    actor = Actor(type=ActorType.API_KEY, id=key.pk, name=key.name, request_id=current_request_id())
    return Caller(key=key, actor=actor, scopes=frozenset(key.scopes), horizon=horizon)
