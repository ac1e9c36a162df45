"""Leases beside other statements on real PostgreSQL connections: who locks many states locks them in one order."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from tests.processes import wait_until
from tests.webhooks.engines import new_key, new_webhook
from webhooks.delivery.lease import Lease, release_leases, renew_leases, take_leases
from webhooks.models import EndpointState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(connections.close_all).result()


def somebody_waits_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def lock(webhook_id: int) -> None:
    EndpointState.objects.select_for_update(no_key=True).get(webhook_id=webhook_id)


@pytest.fixture
def leases():
    """Of two webhooks, whose states lie in the table the other way round than their ids."""
    key = new_key()
    first, second = sorted(new_webhook(f"http://127.0.0.1:9/{number}", key=key).pk for number in range(2))
    taken = {lease.webhook_id: lease for lease in take_leases([first, second], holder="me")}
    EndpointState.objects.filter(webhook_id=first).update(taken_from="")  # a new version, behind the other's
    assert in_the_tables_order() == [second, first]
    return [taken[first], taken[second]]


def in_the_tables_order() -> list[int]:
    """The webhooks whose states they are; from here on PostgreSQL knows that reading them all is the shortest way."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_endpointstate")
        cursor.execute("SELECT webhook_id FROM webhooks_endpointstate ORDER BY ctid")
        return [webhook_id for (webhook_id,) in cursor.fetchall()]


@pytest.mark.parametrize("change", [renew_leases, release_leases])
def test_renewing_and_giving_back_do_not_lock_what_recording_will_lock_next(change, leases, pool):
    first, second = leases
    with transaction.atomic():  # as recording does, by the webhooks' ids
        lock(first.webhook_id)
        changed: Future[None] = pool.submit(change, leases, holder="me")
        wait_until(somebody_waits_for_a_row)
        lock(second.webhook_id)
    changed.result(timeout=20)


def test_a_lease_that_another_has_taken_is_not_renewed(leases):
    mine, taken = leases
    EndpointState.objects.filter(webhook_id=taken.webhook_id).update(lease_holder="another", lease_number=9)
    for lease in leases:
        lease.ours_until = 0.0
    renew_leases(leases, holder="me")
    assert (mine.holds(), taken.holds()) == (True, False)
    assert mine.ours_until <= time.monotonic() + 8


def test_a_lease_that_was_taken_anew_by_ourselves_is_not_renewed_under_its_old_number(leases):
    lease: Lease = leases[0]
    EndpointState.objects.filter(webhook_id=lease.webhook_id).update(lease_number=lease.number + 1)
    lease.ours_until = 0.0
    renew_leases([lease], holder="me")
    assert not lease.holds()
