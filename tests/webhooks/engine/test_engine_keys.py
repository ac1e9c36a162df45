"""What key and webhook say is what the engine does: who gets what, signed how, with which headers, where to."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.models import APIKey
from apikeys.operations import activate_key, deactivate_key, set_scopes
from leads.models import Call, Note
from leads.models.external_id import ExternalId
from tests.processes import wait_until
from tests.webhooks.engines import (
    all_settled,
    end_overlap,
    new_key,
    new_lead,
    new_webhook,
    running_engine,
    states,
)
from tests.webhooks.receiver import answer, bodies, verify
from webhooks.delivery.addresses import Reach
from webhooks.delivery.send import Sender
from webhooks.models import Attempt, Delivery, EndpointState, Webhook
from webhooks.operations import change_webhook, delete_webhook, reveal_secret, rotate_secret, turn_off

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_deactivated_or_expired_keys_deliveries_wait_and_go_out_in_order(receiver):
    key = new_key()
    webhook = new_webhook(receiver.url, key=key)
    deactivate_key(key=key)
    lead = new_lead()
    lead.last_name = "Rao"
    lead.save()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        time.sleep(0.5)
        APIKey.objects.update(active=True, expires_at=timezone.now() - timedelta(hours=1))
        engine.poke([webhook.pk])
        time.sleep(0.5)
        assert receiver.received == [] and states(webhook) == ["waiting", "waiting"]
        deactivate_key(key=key)
        APIKey.objects.update(expires_at=None)
        activate_key(key=key)
        receiver.wait_for(2, timeout=4)
    assert [body["type"] for body in bodies(receiver)] == ["lead.created", "lead.updated"]


def test_a_scope_that_is_lost_withholds_with_the_reason_and_takes_a_number(receiver):
    key = new_key()
    webhook = new_webhook(receiver.url, key=key, events=["lead.created", "note.added"])
    lead = new_lead()
    Note.objects.create(lead=lead, text="Budget approved", author_type="system")
    set_scopes(key=key, scopes=["leads:read"])
    new_lead(2)
    with running_engine() as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(2)
        wait_until(all_settled)
    assert states(webhook) == ["delivered", "withheld", "delivered"]
    withheld = Delivery.objects.get(state="withheld")
    assert withheld.last_error == "not sent: the API key no longer has the scope notes:read"
    assert (withheld.sequence, withheld.attempts) == (2, 0)
    assert not Attempt.objects.filter(delivery=withheld).exists()


def test_a_retry_is_withheld_when_the_scope_has_gone(receiver):
    key = new_key()
    webhook = new_webhook(receiver.url, key=key)
    receiver.default = answer(500)
    with running_engine(schedule=(0, 0.6, 60)) as engine:
        new_lead()
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        set_scopes(key=key, scopes=["notes:read"])
        wait_until(all_settled)
    assert states(webhook) == ["withheld"] and len(receiver.received) == 1


def test_a_body_shows_what_the_key_may_see_and_its_own_external_id(receiver):
    narrow = new_key("Dialer", ["calls:read"])
    webhook = new_webhook(receiver.url, key=narrow, events=["call.completed"])
    wide = new_webhook(f"{receiver.url}/wide", key=new_key("Zoho"), events=["lead.created"])
    lead = new_lead()
    ExternalId.objects.create(lead=lead, api_key_id=wide.api_key_id, value="ZC-1")
    Call.objects.create(lead=lead, direction="outgoing", status="called", started_at=timezone.now())
    with running_engine() as engine:
        engine.poke([webhook.pk, wide.pk])
        receiver.wait_for(2)
    by_type = {body["type"]: body for body in bodies(receiver)}
    assert by_type["call.completed"]["data"]["lead"] == {"id": lead.pk}
    assert by_type["lead.created"]["data"]["lead"]["external_id"] == "ZC-1"
    assert Delivery.objects.filter(body=None).count() == 0


def test_a_webhook_that_is_off_gets_nothing_and_one_that_is_deleted_neither(receiver):
    off, deleted = new_webhook(receiver.url), new_webhook(receiver.url, key=new_key("Looker"))
    new_lead()
    turn_off(webhook=off)
    delete_webhook(webhook=deleted)
    with running_engine() as engine:
        engine.poke([off.pk, deleted.pk])
        time.sleep(0.5)
    assert receiver.received == [] and states(off) == ["missed"]


def test_410_turns_the_webhook_off_and_what_waits_is_missed(receiver):
    receiver.default = answer(410)
    webhook = new_webhook(receiver.url)
    lead = new_lead()
    lead.last_name = "Rao"
    lead.save()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: not Webhook.objects.get().active)
    webhook.refresh_from_db()
    assert (webhook.off_reason, webhook.off_since) == ("gone", 2)
    assert states(webhook) == ["missed", "missed"] and len(receiver.received) == 1


def test_a_secret_that_can_not_be_decrypted_holds_the_webhook_and_nothing_goes_unsigned(receiver):
    webhook = new_webhook(receiver.url, secret="generate")
    Webhook.objects.update(secret="damaged")
    new_lead()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: EndpointState.objects.get().paused_until is not None)
        time.sleep(0.3)
        assert receiver.received == []
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("waiting", 0)
        assert "can't be decrypted" in delivery.last_error
        change_webhook(webhook=webhook, secret="sixteen letters at least")
        engine.poke([webhook.pk])
        receiver.wait_for(1)


def test_while_a_rotation_overlaps_both_secrets_sign_and_afterwards_the_new_one_alone(receiver):
    webhook = new_webhook(receiver.url, secret="generate")
    old = reveal_secret(webhook)
    webhook = rotate_secret(webhook=webhook)
    new = reveal_secret(webhook)
    with running_engine() as engine:
        new_lead(1)
        engine.poke([webhook.pk])
        [both] = receiver.wait_for(1)
        end_overlap(webhook)
        new_lead(2)
        engine.poke([webhook.pk])
        _, alone = receiver.wait_for(2)
    for secret in (old, new):
        verify(both, secret)
    verify(alone, new)
    assert both.headers["x-calliyo-signature"].count("v1=") == 2
    assert alone.headers["x-calliyo-signature"].count("v1=") == 1


def test_a_persons_headers_are_sent_and_their_values_are_not_in_the_log(receiver):
    webhook = new_webhook(receiver.url, headers={"Authorization": "Bearer of theirs"})
    with running_engine() as engine:
        new_lead()
        engine.poke([webhook.pk])
        [received] = receiver.wait_for(1)
        wait_until(all_settled)
    assert received.headers["authorization"] == "Bearer of theirs"
    assert Attempt.objects.get().request_headers["Authorization"] == "(hidden)"


def test_an_address_that_is_not_allowed_is_never_connected_to_and_told(receiver):
    webhook = new_webhook(receiver.url)
    with running_engine(schedule=(0,), sender=Sender(reach=Reach(), timeout=1)) as engine:
        new_lead()
        engine.poke([webhook.pk])
        wait_until(all_settled)
    assert receiver.connections == 0
    assert Attempt.objects.get().error_code == "url_refused"
