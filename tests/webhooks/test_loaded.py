"""Few webhooks are read by prepared statements, many by Django's own: what is read is the same."""

from datetime import timedelta

import pytest

from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks.delivery import lease, loaded
from webhooks.delivery.clock import database_now
from webhooks.delivery.lease import due_among, take_leases
from webhooks.delivery.loaded import sendable_webhooks
from webhooks.models import EndpointState, Webhook

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9/"


def test_a_webhook_is_read_alike_one_by_one_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = new_webhook(URL, secret="generate", rate_limit=5, headers={"X-Team": "north"})
    take_leases([webhook.pk], holder="me")
    [one] = sendable_webhooks([webhook.pk], database_now())
    monkeypatch.setattr(loaded, "FEW", 0)
    [other] = sendable_webhooks([webhook.pk], database_now())
    for name in [field.attname for field in Webhook._meta.concrete_fields]:
        assert getattr(one, name) == getattr(other, name), name
    for name in [field.attname for field in EndpointState._meta.concrete_fields]:
        assert getattr(one.state, name) == getattr(other.state, name), name
    assert one.api_key.scopes == other.api_key.scopes == webhook.api_key.scopes


@pytest.mark.parametrize("few", [0, 3])
def test_what_may_not_be_sent_to_is_neither_due_nor_read(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lease, loaded):
        monkeypatch.setattr(module, "FEW", few)
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
    due = [pk for each in every for pk in due_among([each], later)]
    read = [webhook.pk for each in every for webhook in sendable_webhooks([each], later)]
    assert due == [sent_to.pk]
    assert read == [sent_to.pk, paused.pk]  # the engine looks at its pause


@pytest.mark.parametrize("few", [0, 3])
def test_what_another_worker_serves_is_due_and_not_free(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "FEW", few)
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
