"""What engines count for `/metrics`, and tell the log."""

import pytest
from structlog.testing import capture_logs

from tests.processes import Answer, wait_until
from tests.webhooks.engines import new_lead, new_webhook, running_engine, states
from webhooks.delivery.clock import database_now
from webhooks.delivery.lease import release_leases, take_leases
from webhooks.models import EndpointState
from webhooks.tallies import ATTEMPTS, DELIVERY, LEASES, REQUEST, SUM, TAKEOVERS, tallies

pytestmark = pytest.mark.django_db(transaction=True)


def total(counts: dict[str, float]) -> float:
    return sum(count for label, count in counts.items() if label != SUM)


def test_attempts_and_their_times_are_counted_and_told_by_what_came_of_them(receiver):
    webhook = new_webhook(receiver.url)
    receiver.answer_next(Answer(status=500))
    new_lead(1)
    with capture_logs() as lines, running_engine():
        wait_until(lambda: states(webhook) == ["delivered"])
        wait_until(lambda: tallies().get(ATTEMPTS) == {"status": 1, "delivered": 1})  # by the sweep
    counted = tallies()
    assert (total(counted[REQUEST.name]), total(counted[DELIVERY.name])) == (2, 1)
    # The retry came a tenth of a second after the first attempt.
    assert 0.08 < counted[DELIVERY.name][SUM] < 10
    assert counted[REQUEST.name][SUM] < counted[DELIVERY.name][SUM]
    [told] = [line for line in lines if line["event"] == "deliveries.attempted"]
    assert (told["delivered"], told["failed"], told["failed_by"]) == (1, 1, {"status": 1})
    assert told["longest_delivery_seconds"] == round(counted[DELIVERY.name][SUM], 3)


def test_a_lease_that_ran_out_is_a_takeover_and_one_that_was_given_back_is_none(receiver):
    webhook = new_webhook(receiver.url)
    new_lead(1)
    [lease] = take_leases([webhook.pk], holder="killed:1:a")
    assert lease.taken_from == ""
    EndpointState.objects.update(leased_until=database_now())
    with capture_logs() as lines, running_engine():
        wait_until(lambda: states(webhook) == ["delivered"])
    assert (tallies()[LEASES], tallies()[TAKEOVERS]) == ({"": 1}, {"": 1})
    [told] = [line for line in lines if line["event"] == "leases.taken_over"]
    assert (told["count"], told["taken_from"], told["webhook_ids"]) == (1, ["killed:1:a"], [webhook.pk])
    new_lead(2)
    with capture_logs() as lines, running_engine():
        wait_until(lambda: states(webhook) == ["delivered"] * 2)
    assert (tallies()[LEASES], tallies()[TAKEOVERS]) == ({"": 2}, {"": 1})
    assert "leases.taken_over" not in [line["event"] for line in lines]


def test_a_lease_of_ones_own_that_ran_out_is_no_takeover(receiver):
    webhook = new_webhook(receiver.url)
    for _ in range(2):
        [lease] = take_leases([webhook.pk], holder="this:1:a")
        assert lease.taken_from == ""
        EndpointState.objects.update(leased_until=database_now())
    release_leases([lease], holder="this:1:a")
    [lease] = take_leases([webhook.pk], holder="that:2:b")
    assert (lease.number, lease.taken_from) == (3, "")
