"""What is done to API keys: each a unit of work, each a line in the audit, none with a token in it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Value
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext

from apikeys import tokens
from apikeys.audit import record
from apikeys.errors import BrowserKeyTooWide, NameTaken
from apikeys.models import APIKey
from apikeys.scopes import Scope
from apikeys.validation import (
    checked_addresses,
    checked_expiry,
    checked_name,
    checked_origins,
    checked_rate_limit,
    checked_scopes,
)
from calliyo.actor import current_actor
from calliyo.unit_of_work import unit_of_work

_SAME_NAME: Final = "api_key_name_unique"


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedKey:
    """A key and its token: the only time that the token is there to be shown."""

    key: APIKey
    token: str

    def __repr__(self) -> str:
        return f"MintedKey(key={self.key.pk}, prefix={self.key.prefix!r})"


@unit_of_work
def create_api_key(
    *,
    name: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
    allowed_addresses: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
    manage_webhooks: bool = False,
) -> MintedKey:
    """A new key. No scope means no access. `rate_limit` is requests a minute; None: the default, 0: none.

    Raises the errors of `apikeys.errors`; a name is taken when any key has it, case ignored.
    """
    token = tokens.mint()
    actor = current_actor()
    key = APIKey(
        name=checked_name(name),
        digest=token.digest,
        prefix=token.prefix,
        scopes=checked_scopes(scopes),
        expires_at=checked_expiry(expires_at),
        rate_limit=checked_rate_limit(rate_limit),
        allowed_addresses=checked_addresses(allowed_addresses),
        allowed_origins=checked_origins(allowed_origins),
        manage_webhooks=manage_webhooks,
        created_by_type=actor.type,
        created_by_id=actor.id,
        created_by_name=actor.name or "",
    )
    key.created_at = key.updated_at = timezone.now()
    _refuse_wide_browser_key(key)
    with _name_is_free(key):
        key.save(force_insert=True)
    record(
        key=key,
        action="api_key.created",
        scopes=key.scopes,
        expires_at=key.expires_at,
        rate_limit=key.rate_limit,
        allowed_addresses=key.allowed_addresses,
        allowed_origins=key.allowed_origins,
        manage_webhooks=key.manage_webhooks,
    )
    return MintedKey(key=key, token=token.text)


@unit_of_work
def regenerate_token(*, key: APIKey) -> MintedKey:
    """A new token for the same key; the old one is refused from the next request on."""
    token = tokens.mint()
    key = _locked(key)
    old_prefix = key.prefix
    _write(key, digest=token.digest, prefix=token.prefix)
    record(key=key, action="api_key.regenerated", prefix={"from": old_prefix, "to": key.prefix})
    return MintedKey(key=key, token=token.text)


@unit_of_work
def deactivate_key(*, key: APIKey) -> APIKey:
    """Refuses the key's requests from the next one on; its deliveries wait. Twice changes nothing."""
    return _switch(key, active=False, action="deactivated")


@unit_of_work
def activate_key(*, key: APIKey) -> APIKey:
    """Lets the key in again, with the same token. Doing it twice changes nothing."""
    return _switch(key, active=True, action="activated")


@unit_of_work
def delete_key(*, key: APIKey) -> None:
    """Removes the key with its scopes and webhooks, for good. The audit keeps its number and name."""
    key = _locked(key)
    record(key=key, action="api_key.deleted", prefix=key.prefix, scopes=key.scopes)
    key.delete()


@unit_of_work
def rename_key(*, key: APIKey, name: str) -> APIKey:
    """Gives the key another name, which no other key may have."""
    key = _locked(key)
    old, new = key.name, checked_name(name)
    if new != old:
        key.name = new
        with _name_is_free(key):
            _write(key, name=new)
        record(key=key, action="api_key.renamed", name={"from": old, "to": new})
    return key


@unit_of_work
def set_scopes(*, key: APIKey, scopes: Iterable[str]) -> APIKey:
    """Lets the key do exactly what `scopes` say, from the next request on."""
    return _change(key, "scopes_changed", scopes=checked_scopes(scopes))


@unit_of_work
def set_expiry(*, key: APIKey, expires_at: datetime | None) -> APIKey:
    """Moves the key's end; None: it has none."""
    return _change(key, "expiry_changed", expires_at=checked_expiry(expires_at))


@unit_of_work
def set_limits(
    *,
    key: APIKey,
    rate_limit: int | None,
    allowed_addresses: Iterable[str],
    allowed_origins: Iterable[str],
    manage_webhooks: bool,
) -> APIKey:
    """Says how often, from where, and whether the key may manage webhooks of its own."""
    return _change(
        key,
        "limits_changed",
        rate_limit=checked_rate_limit(rate_limit),
        allowed_addresses=checked_addresses(allowed_addresses),
        allowed_origins=checked_origins(allowed_origins),
        manage_webhooks=manage_webhooks,
    )


@unit_of_work
def configure_key(
    *,
    key: APIKey,
    scopes: Iterable[str],
    expires_at: datetime | None,
    rate_limit: int | None,
    allowed_addresses: Iterable[str],
    allowed_origins: Iterable[str],
    manage_webhooks: bool,
) -> APIKey:
    """Scopes and limits at once. An expiry that stays what it is may lie in the past."""
    if expires_at != key.expires_at:
        set_expiry(key=key, expires_at=expires_at)
    origins = checked_origins(allowed_origins)
    limits = partial(
        set_limits,
        key=key,
        rate_limit=rate_limit,
        allowed_addresses=allowed_addresses,
        allowed_origins=origins,
        manage_webhooks=manage_webhooks,
    )
    if origins:  # scopes are narrowed before web pages are let in, and widened after they are shut out
        set_scopes(key=key, scopes=scopes)
        return limits()
    limits()
    return set_scopes(key=key, scopes=scopes)


@unit_of_work
def duplicate_key(*, key: APIKey, name: str, expires_at: datetime | None) -> MintedKey:
    """A new key with a token of its own that may do what `key` may, within the same limits. Webhooks stay behind."""
    key = _locked(key)
    return create_api_key(
        name=name,
        scopes=key.scopes,
        expires_at=expires_at,
        rate_limit=key.rate_limit,
        allowed_addresses=key.allowed_addresses,
        allowed_origins=key.allowed_origins,
        manage_webhooks=key.manage_webhooks,
    )


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────


def _locked(key: APIKey) -> APIKey:
    """The key as the database has it now, held until the unit of work ends."""
    return APIKey.objects.select_for_update(no_key=True).get(pk=key.pk)


def _write(key: APIKey, **values: Any) -> None:
    for name, value in values.items():
        setattr(key, name, value)
    key.version += 1
    key.updated_at = timezone.now()
    key.save(update_fields=[*values, "version", "updated_at"])


def _change(key: APIKey, action: str, **values: Any) -> APIKey:
    key = _locked(key)
    before = {name: getattr(key, name) for name in values}
    changed = {name: value for name, value in values.items() if value != before[name]}
    if changed:
        _write(key, **changed)
        _refuse_wide_browser_key(key)
        told = {name: {"from": before[name], "to": value} for name, value in changed.items()}
        record(key=key, action=f"api_key.{action}", **told)
    return key


def _switch(key: APIKey, *, active: bool, action: str) -> APIKey:
    key = _locked(key)
    if key.active != active:
        _write(key, active=active)
        record(key=key, action=f"api_key.{action}")
    return key


@contextmanager
def _name_is_free(key: APIKey) -> Iterator[None]:
    """Refuses a name that another key has: looked up first, and by the constraint when two come at once."""
    taken = NameTaken(gettext("There is already an API key named “%(name)s”.") % {"name": key.name})
    if _has_name(key):
        raise taken
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if _SAME_NAME in str(error):
            raise taken from error
        raise


def _has_name(key: APIKey) -> bool:
    """Whether another key has this one's name."""
    others = APIKey.objects.exclude(pk=key.pk).alias(lower_name=Lower("name"))
    return others.filter(lower_name=Lower(Value(key.name))).exists()


def _refuse_wide_browser_key(key: APIKey) -> None:
    if key.allowed_origins and not set(key.scopes) <= {Scope.LEADS_WRITE}:
        raise BrowserKeyTooWide(
            gettext("A key with allowed origins is public: it may hold leads:write only.")
        )
