"""Webhooks and states as prepared statements read them: whole, and only those that may be sent to or are held."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Model

from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks.delivery.clock import database_now
from webhooks.delivery.lease import due_among, take_leases
from webhooks.delivery.loaded import held_states, sendable_webhooks
from webhooks.models import EndpointState, Webhook

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9/"


def values_of(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_webhooks_and_states_are_read_whole() -> None:
    webhooks = [
        new_webhook(
            URL, key=new_key(f"Key {n}"), secret="generate", rate_limit=5, headers={"X-Team": "north"}
        )
        for n in range(5)
    ]
    ids = [each.pk for each in webhooks]
    take_leases(ids, holder="me")
    with transaction.atomic():
        held = held_states(ids, "me")
    assert list(held) == ids
    read = {each.pk: each for each in sendable_webhooks(ids, database_now())}
    for webhook in webhooks:
        for kept in (held[webhook.pk], read[webhook.pk].state):
            assert values_of(kept) == values_of(EndpointState.objects.get(pk=webhook.pk))
        assert values_of(read[webhook.pk]) == values_of(Webhook.objects.get(pk=webhook.pk))
        assert read[webhook.pk].api_key.scopes == webhook.api_key.scopes


def test_a_state_that_another_holds_is_not_read() -> None:
    mine, others = (new_webhook(URL, key=new_key(f"Key {n}")) for n in range(2))
    take_leases([mine.pk], holder="me")
    take_leases([others.pk], holder="another")
    with transaction.atomic():
        assert list(held_states([mine.pk, others.pk], "me")) == [mine.pk]


def test_none_are_asked_for_and_none_are_found() -> None:
    now = database_now()
    assert due_among([], now) == {} and sendable_webhooks([], now) == []


def test_what_may_not_be_sent_to_is_neither_due_nor_read() -> None:
    now = database_now()
    sent_to, off, inactive, expired, paused = (new_webhook(URL, key=new_key(f"Key {n}")) for n in range(5))
    every = [each.pk for each in (sent_to, off, inactive, expired, paused)]
    new_lead()
    take_leases(every, holder="me")
    Webhook.objects.filter(pk=off.pk).update(active=False, off_reason="by_hand")
    type(inactive.api_key).objects.filter(pk=inactive.api_key_id).update(active=False)
    type(expired.api_key).objects.filter(pk=expired.api_key_id).update(expires_at=now)
    EndpointState.objects.filter(webhook_id=paused.pk).update(paused_until=now + timedelta(minutes=1))
    later = now + timedelta(seconds=5)
    assert list(due_among(every, later)) == [sent_to.pk]
    read = {webhook.pk for webhook in sendable_webhooks(every, later)}
    assert read == {sent_to.pk, paused.pk}  # the engine looks at its pause


def test_what_another_worker_serves_is_due_and_not_free() -> None:
    free, given_back, left_behind, served = (new_webhook(URL, key=new_key(f"Key {n}")) for n in range(4))
    new_lead()
    take_leases([left_behind.pk, served.pk], holder="another")
    now = database_now()
    EndpointState.objects.filter(pk=left_behind.pk).update(leased_until=now)
    every = [free.pk, given_back.pk, left_behind.pk, served.pk]
    assert due_among(every, now) == {
        free.pk: True,
        given_back.pk: True,
        left_behind.pk: True,
        served.pk: False,
    }
