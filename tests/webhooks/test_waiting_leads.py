"""Walks from lead to lead: each of them once, wherever it begins."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.webhooks.engines import new_webhook
from tests.webhooks.test_due import NOW, queue
from webhooks.delivery import waiting_leads
from webhooks.delivery.waiting_leads import looks, walk
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook() -> Webhook:
    return new_webhook("https://example.com/hook")


def wait_for(webhook: Webhook, leads: Sequence[int]) -> None:
    queue(webhook, [(lead, True, None) for lead in leads])


@pytest.mark.parametrize("start", [3, 5, 8, 11])
def test_a_walk_goes_from_anywhere_round_to_there(webhook, monkeypatch, start):
    wait_for(webhook, [11, 3, 7, 3, 7, 9])
    monkeypatch.setattr(waiting_leads.random, "randint", lambda first, last: start)
    assert walk(webhook.pk, 5) == waiting_leads.Leads(ids=frozenset({3, 7, 9, 11}), complete=True)
    found = walk(webhook.pk, 2)
    assert not found.complete
    assert found.ids == {3: {3, 7}, 5: {7, 9}, 8: {9, 11}, 11: {11, 3}}[start]


def test_a_walk_begins_anywhere_between_the_first_and_the_last(webhook):
    wait_for(webhook, [3, 7, 9, 11])
    assert {lead for _ in range(100) for lead in walk(webhook.pk, 1).ids} == {3, 7, 9, 11}


def test_where_nothing_waits_a_walk_is_over_at_once(webhook):
    assert walk(webhook.pk, 1) == waiting_leads.Leads(ids=frozenset(), complete=True)


def test_where_one_lead_waits_a_walk_finds_it(webhook):
    wait_for(webhook, [7, 7, 7])
    assert walk(webhook.pk, 2) == waiting_leads.Leads(ids=frozenset({7}), complete=True)
    assert walk(webhook.pk, 1) == waiting_leads.Leads(ids=frozenset({7}), complete=False)


def test_which_webhooks_have_several_leads_waiting_is_told_at_once(webhook, django_assert_num_queries):
    several, none = (new_webhook("https://example.com/hook", key=webhook.api_key) for _ in range(2))
    rows = queue(webhook, [(lead, True, None) for lead in (7, 7, 7, 7, 9)])
    Delivery.objects.filter(pk__in=[row.pk for row in rows[3:]]).update(webhook=several)
    with django_assert_num_queries(1):
        assert waiting_leads.with_several([webhook.pk, several.pk, none.pk]) == {several.pk}
    assert waiting_leads.with_several([]) == set()


def test_looks_end_with_all_leads_or_with_all_for_which_something_is_due(webhook):
    wait_for(webhook, range(1, 30))
    *_, last = looks(webhook.pk, NOW, first=2)
    assert last.complete and last.ids == frozenset(range(1, 30))
    rows = [(lead, lead > 27, None) for lead in range(1, 30)]
    queue(webhook, rows)
    [only] = looks(webhook.pk, NOW, first=2)
    assert only.complete and only.ids >= {28, 29} and len(only.ids) <= 4
    assert list(looks(webhook.pk, NOW - timedelta(1), first=30)) == [walk(webhook.pk, 30)]
