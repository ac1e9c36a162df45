"""Which deliveries are claimed, for any state of a queue: checked against the rule written out."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.webhooks.engines import new_key, new_webhook
from webhooks.delivery import waiting_leads
from webhooks.delivery.clock import ClockReading
from webhooks.delivery.due import Due, Wish, due_deliveries
from webhooks.delivery.lease import Lease
from webhooks.delivery.probe import Probe
from webhooks.delivery.target import Target
from webhooks.models import Delivery, Event, Ordering, Webhook

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 22, 48, 22, 123000, tzinfo=UTC)
ASIDES_BEFORE = NOW - timedelta(minutes=10)

# Lead, whether it is due, since how many minutes it is overtaken.
rows_of = st.tuples(st.integers(1, 4), st.booleans(), st.sampled_from([None, 1, 10, 11]))
queues = st.lists(rows_of, max_size=8)
# One lead has so many before the others that a claim looks elsewhere; they may be on their way, or behind a retry.
long_queues = st.builds(
    lambda heavy, first_due, others: [(1, first_due, None), *[(1, True, None)] * heavy, *others],
    st.integers(0, 40),
    st.booleans(),
    st.lists(rows_of, max_size=12),
)


@pytest.fixture
def webhook() -> Webhook:
    return new_webhook("https://example.com/hook", key=new_key())


def queue(webhook: Webhook, rows: list[tuple[int, bool, int | None]]) -> list[Delivery]:
    Delivery.objects.all().delete()
    event = Event.objects.first() or Event.objects.create(
        uid="0192f0c1-2b3c-7d4e-8f50-61728394a5b6",
        type="lead.updated",
        lead_id=1,
        payload="{}",
        created_at=NOW,
    )
    return Delivery.objects.bulk_create(
        Delivery(
            webhook=webhook,
            event=event,
            type="lead.updated",
            lead_id=lead,
            sequence=number,
            created_at=NOW,
            next_attempt_at=NOW if due else NOW + timedelta(seconds=1),
            overtaken_since=None if minutes is None else NOW - timedelta(minutes=minutes),
        )
        for number, (lead, due, minutes) in enumerate(rows, start=1)
    )


def wish(webhook: Webhook, ordering: Ordering, **more: object) -> Wish:
    target = Target(
        webhook_id=webhook.pk,
        api_key_id=webhook.api_key_id,
        url=webhook.url,
        secrets=(),
        headers={},
        ordering=ordering,
        scopes=frozenset(),
        clock=ClockReading(NOW),
    )
    return Wish(target=target, lease=Lease(webhook.pk, 1, 0), **{"limit": 100, **more})  # type: ignore[arg-type]


def found(webhook: Webhook, ordering: Ordering, **more: object) -> list[Due]:
    return due_deliveries([wish(webhook, ordering, **more)], NOW)[webhook.pk]


def expected(rows: list[Delivery], ordering: Ordering, asides_before: datetime | None) -> list[int]:
    blocked: set[int] = set()
    taken = []
    for row in rows:
        lane = {Ordering.PER_LEAD: row.lead_id, Ordering.STRICT: 0}.get(ordering, -row.pk)
        since = row.overtaken_since
        aside = asides_before is not None and since is not None and since <= asides_before
        due = row.next_attempt_at is not None and row.next_attempt_at <= NOW
        if due and lane not in blocked:
            taken.append(row.pk)
        elif not due and not (aside and ordering is Ordering.PER_LEAD):
            blocked.add(lane)
    return taken


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=queues, ordering=st.sampled_from(Ordering), asides=st.sampled_from([None, ASIDES_BEFORE]))
def test_what_is_due_comes_once_in_order_and_behind_nothing_that_it_must_wait_for(
    webhook: Webhook,
    rows: list[tuple[int, bool, int | None]],
    ordering: Ordering,
    asides: datetime | None,
) -> None:
    queued = queue(webhook, rows)
    claimed = found(webhook, ordering, asides_before=asides)
    assert [each.id for each in claimed] == expected(queued, ordering, asides)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.one_of(queues, long_queues),
    ordering=st.sampled_from([Ordering.PER_LEAD, Ordering.NONE]),
    limit=st.integers(1, 4),
    busy=st.sets(st.integers(1, 4)),
    chance=st.randoms(use_true_random=False),
)
def test_a_limit_and_leads_on_their_way_leave_an_order_without_gaps_and_starve_nothing(
    webhook: Webhook,
    rows: list[tuple[int, bool, int | None]],
    ordering: Ordering,
    limit: int,
    busy: set[int],
    chance: random.Random,
) -> None:
    queued = queue(webhook, rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(waiting_leads.random, "randint", chance.randint)
        claimed = [
            each.id
            for each in found(webhook, ordering, asides_before=ASIDES_BEFORE, limit=limit, busy_leads=busy)
        ]
    right = [
        row.pk
        for row in queued
        if row.pk in expected(queued, ordering, ASIDES_BEFORE) and row.lead_id not in busy
    ]
    assert len(claimed) == len(set(claimed)) <= limit
    assert set(claimed) <= set(right) and bool(claimed) == bool(right)
    for lead in {row.lead_id for row in queued} if ordering is Ordering.PER_LEAD else ():
        holding = [
            row.pk
            for row in queued
            if row.lead_id == lead
            and row.pk in right
            and (row.overtaken_since is None or row.overtaken_since > ASIDES_BEFORE)
        ]
        mine = [pk for pk in claimed if pk in holding]
        assert mine == holding[: len(mine)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=long_queues, limit=st.integers(1, 4))
def test_claim_after_claim_brings_all_that_may_be_sent(
    webhook: Webhook, rows: list[tuple[int, bool, int | None]], limit: int
) -> None:
    queued = queue(webhook, rows)
    claimed: list[int] = []
    while batch := found(webhook, Ordering.PER_LEAD, asides_before=ASIDES_BEFORE, limit=limit):
        claimed += [each.id for each in batch]
        Delivery.objects.filter(pk__in=[each.id for each in batch]).delete()
    assert sorted(claimed) == expected(queued, Ordering.PER_LEAD, ASIDES_BEFORE)


def test_a_probe_comes_alone_whether_it_is_due_or_not(webhook: Webhook) -> None:
    first, second = queue(webhook, [(1, True, None), (1, False, None)])
    [probe] = found(webhook, Ordering.PER_LEAD, probe=Probe(delivery_id=second.pk))
    assert probe.id == second.pk and first.pk != second.pk
