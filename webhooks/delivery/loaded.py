"""Webhooks with their keys and states, as each batch is read anew: few of them by a statement that is prepared."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS
from django.db.models import BigIntegerField, Model

from apikeys.models import APIKey
from calliyo.fields import MomentField
from calliyo.statements import Parameter, Statement
from webhooks.delivery.lease import FEW, sendable
from webhooks.models import EndpointState, Webhook


def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


_OF_WEBHOOK: Final = _names(Webhook)
_OF_STATE: Final = _names(EndpointState)


def sendable_webhooks(webhook_ids: Collection[int], now: datetime) -> list[Webhook]:
    """Those of these that may be sent to, with `api_key.scopes` and `state` loaded; none without a state."""
    if len(webhook_ids) > FEW:
        found = sendable(now).filter(pk__in=webhook_ids, state__isnull=False)
        return list(found.select_related("api_key", "state"))
    rows = [row for pk in webhook_ids for row in _one().fetch({"now": now, "pk": pk}, prepared=True)]
    return [_webhook(row) for row in rows]


@cache
def _one() -> Statement:
    now, pk = Parameter("now", MomentField()), Parameter("pk", BigIntegerField())
    names = [*_OF_WEBHOOK, *(f"state__{name}" for name in _OF_STATE), "api_key__scopes"]
    return Statement.of(sendable(now).filter(pk=pk, state__isnull=False).order_by().values_list(*names))


def _webhook(row: tuple[Any, ...]) -> Webhook:
    behind = len(_OF_WEBHOOK)
    webhook = Webhook.from_db(DEFAULT_DB_ALIAS, _OF_WEBHOOK, row[:behind])
    state = EndpointState.from_db(DEFAULT_DB_ALIAS, _OF_STATE, row[behind:-1])
    webhook.api_key = APIKey.from_db(DEFAULT_DB_ALIAS, ["id", "scopes"], (webhook.api_key_id, row[-1]))
    state.webhook = webhook  # and so the other way round
    return webhook
