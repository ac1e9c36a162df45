"""Webhooks with their keys and states, as each batch reads them anew: by statements that are prepared."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS
from django.db.models import CharField, Model

from apikeys.models import APIKey
from calliyo.fields import MomentField
from calliyo.statements import Among, Parameter, Statement
from webhooks.delivery.lease import sendable
from webhooks.models import EndpointState, Webhook


def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


_OF_WEBHOOK: Final = _names(Webhook)
_OF_STATE: Final = _names(EndpointState)


def sendable_webhooks(webhook_ids: Collection[int], now: datetime) -> list[Webhook]:
    """Those of these that may be sent to, with `api_key.scopes` and `state` loaded; none without a state."""
    return [_webhook(row) for row in _among().fetch({"now": now, "ids": webhook_ids}, prepared=True)]


@cache
def _among() -> Statement:
    among = sendable(Parameter("now", MomentField())).filter(Among("pk", "ids"), state__isnull=False)
    names = [*_OF_WEBHOOK, *(f"state__{name}" for name in _OF_STATE), "api_key__scopes"]
    return Statement.of(among.order_by().values_list(*names))


def held_states(webhook_ids: Collection[int], holder: str) -> dict[int, EndpointState]:
    """The states of those that `holder` has the lease of, by webhook, locked in their order."""
    rows = _held().fetch({"holder": holder, "ids": webhook_ids}, prepared=True)
    states = (EndpointState.from_db(DEFAULT_DB_ALIAS, _OF_STATE, row) for row in rows)
    return {state.webhook_id: state for state in states}


@cache
def _held() -> Statement:
    held = EndpointState.objects.filter(
        Among("webhook_id", "ids"), lease_holder=Parameter("holder", CharField())
    )
    return Statement.of(held.select_for_update(no_key=True).order_by("webhook_id").values_list(*_OF_STATE))


def _webhook(row: tuple[Any, ...]) -> Webhook:
    behind = len(_OF_WEBHOOK)
    webhook = Webhook.from_db(DEFAULT_DB_ALIAS, _OF_WEBHOOK, row[:behind])
    state = EndpointState.from_db(DEFAULT_DB_ALIAS, _OF_STATE, row[behind:-1])
    webhook.api_key = APIKey.from_db(DEFAULT_DB_ALIAS, ["id", "scopes"], (webhook.api_key_id, row[-1]))
    state.webhook = webhook  # and so the other way round
    return webhook
