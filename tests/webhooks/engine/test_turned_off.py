"""A webhook that has failed for days, or is gone, is turned off; staff are told, and it begins anew when it is on."""

import logging
import time
from datetime import timedelta

import pytest
from django.core import mail

from apikeys.models import AuditEntry
from leads.models import User
from tests.processes import wait_until
from tests.webhooks.engines import all_settled, changed, new_lead, new_webhook, running_engine, state, states
from tests.webhooks.receiver import answer
from webhooks import notices
from webhooks.delivery.clock import database_now
from webhooks.models import Attempt, Delivery, EndpointState, Health, Webhook
from webhooks.operations import change_webhook, turn_on

pytestmark = pytest.mark.django_db(transaction=True)


def failing_for(days: float, tried: float) -> None:
    now = database_now()
    EndpointState.objects.update(failing_since=now - timedelta(days=days), failures_in_a_row=40)
    Delivery.objects.update(attempts=5, first_attempt_at=now - timedelta(days=tried), body=None)


@pytest.fixture
def admin():
    User.objects.create(username="gone", email="gone@example.com", role="company_admin", is_active=False)
    User.objects.create(username="ravi", email="ravi@example.com", role="manager")
    return User.objects.create(username="asha", email="asha@example.com", role="company_admin", name="Asha")


def test_five_days_without_a_success_turn_it_off_and_staff_are_told(receiver, admin, caplog):
    receiver.default = answer(500)
    webhook = new_webhook(f"{receiver.url}/secret-in-the-path")
    changed(new_lead(), 2)
    failing_for(days=5.01, tried=1.01)
    with caplog.at_level(logging.WARNING), running_engine() as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: not Webhook.objects.get().active)
        wait_until(lambda: mail.outbox and state().notice_due_at is None)
    webhook.refresh_from_db()
    assert (webhook.off_reason, webhook.off_since) == ("failing", 3) and webhook.off_at is not None
    assert states(webhook) == ["missed"] * 3 and len(receiver.received) == 1
    assert f"Webhook {webhook.pk} was turned off: failing" in caplog.text
    entry = AuditEntry.objects.get(action="webhook.turned_off")
    assert (entry.actor_type, entry.data["reason"], entry.data["missed"]) == ("system", "failing", 3)
    [told] = mail.outbox
    assert told.to == ["asha@example.com"] and told.subject == "Webhook turned off: 127.0.0.1"
    assert "Deliveries that were waiting: 3" in told.body and "Zoho production" in told.body
    assert "secret-in-the-path" not in told.body and "/settings?tab=api" in told.body


@pytest.mark.parametrize(("days", "tried"), [(4.9, 4.9), (20, 0.9)])
def test_a_shorter_time_turns_nothing_off(receiver, days, tried):
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    new_lead()
    failing_for(days=days, tried=tried)
    with running_engine(schedule=(0, *[60] * 9)) as engine:
        engine.poke([webhook.pk])
        wait_until(Attempt.objects.exists)
        time.sleep(0.2)
    assert Webhook.objects.get().active and states(webhook) == ["waiting"]


def test_410_is_told_alike_and_turning_it_on_again_begins_with_a_clean_slate(receiver, admin):
    receiver.script = [answer(410)]
    webhook = new_webhook(receiver.url)
    new_lead(1)
    with running_engine() as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: mail.outbox)
        assert "answered 410" in mail.outbox[0].body
        turn_on(webhook=Webhook.objects.get())
        assert (state().failures_in_a_row, state().failing_since) == (0, None)
        new_lead(2)
        engine.poke([webhook.pk])
        wait_until(all_settled)
    assert states(webhook) == ["missed", "delivered"]


def test_a_notice_that_can_not_be_sent_stays_owed_until_a_later_sender(receiver, admin, monkeypatch):
    webhook = new_webhook(receiver.url)
    Webhook.objects.update(active=False, off_reason="gone", off_at=database_now())
    EndpointState.objects.update(notice_due_at=database_now())

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError("no mail server")

    monkeypatch.setattr(notices, "_send", refuse)
    assert notices.send_owed() == 0 and state().notice_due_at > database_now()
    assert notices.send_owed() == 0
    monkeypatch.undo()
    EndpointState.objects.update(notice_due_at=database_now())
    assert notices.send_owed() == 1 and notices.send_owed() == 0
    assert len(mail.outbox) == 1 and webhook.pk == state().pk


def test_another_url_is_another_endpoint(receiver):
    webhook = new_webhook(receiver.url)
    until = database_now() + timedelta(hours=1)
    EndpointState.objects.update(
        health=Health.DOWN, failures_in_a_row=9, down_since=until, paused_until=until, held_until=until
    )
    change_webhook(webhook=webhook, url=receiver.url)
    assert state().health == "down"
    change_webhook(webhook=webhook, url=f"{receiver.url}/new")
    assert (state().health, state().paused_until, state().held_until) == ("healthy", None, None)
