"""Deliveries get their numbers some webhooks at a time, so that a burst is being sent while the rest is numbered."""

import pytest

from tests.processes import wait_until
from tests.webhooks.engines import new_key, new_lead, new_webhook, running_engine
from tests.webhooks.receiver import running_receiver
from webhooks.delivery.sequence import give_positions, number_first
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "http://127.0.0.1:9/hook"


@pytest.fixture
def three():
    """Webhooks with two, one and two deliveries that wait without a number."""
    key = new_key()
    first = new_webhook(NOWHERE, key=key)
    new_lead(1)
    third = new_webhook(NOWHERE, key=key)
    new_lead(2)
    middle = new_webhook(NOWHERE, key=key)
    new_lead(3)
    Delivery.objects.filter(webhook=first).first().delete()
    give_positions()
    return [first.pk, middle.pk, third.pk]


def numbered():
    rows = Delivery.objects.exclude(sequence=None).order_by("webhook_id", "sequence", "id")
    return list(rows.values_list("webhook_id", "sequence"))


def test_the_first_webhooks_are_numbered_whole_and_the_rest_is_left(three):
    first, middle, third = three
    assert number_first([third, middle, first], about=2) == {middle, first}
    assert numbered() == [(third, 1), (third, 2)]
    assert number_first([middle, first], about=2) == set()
    assert numbered() == sorted([(first, 1), (first, 2), (middle, 1), (third, 1), (third, 2)])


def test_one_webhook_is_numbered_whole_however_much_waits(three):
    first, _, third = three
    assert number_first([first, third], about=1) == {third}
    assert numbered() == [(first, 1), (first, 2)]


def test_whose_deliveries_all_have_numbers_is_not_left(three):
    first, middle, third = three
    number_first([middle], about=1)
    assert number_first([middle, first, third], about=1) == {third}
    assert number_first([], about=1) == set()


def test_what_was_left_is_numbered_and_sent_without_another_poke(monkeypatch):
    for name in ("NUMBERED_A_TURN", "NUMBERED_FIRST"):
        monkeypatch.setattr(f"webhooks.delivery.engine.{name}", 1)
    monkeypatch.setattr("webhooks.delivery.engine.SWEEP_SECONDS", 60.0)
    with running_receiver() as receiver, running_engine() as engine:
        urls = [f"{receiver.url}/{number}" for number in range(4)]
        key = new_key()
        webhooks = [new_webhook(url, key=key) for url in urls]
        for number in range(3):
            new_lead(number)
        engine.poke([webhook.pk for webhook in webhooks])
        receiver.wait_for(12)
        wait_until(lambda: not Delivery.objects.exclude(state="delivered").exists())
    assert numbered() == [(webhook.pk, number) for webhook in webhooks for number in (1, 2, 3)]
