"""`/public/webhooks/{id}/deliveries`: what was queued for a webhook, and what came of it."""

import itertools
import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apikeys.operations import set_scopes
from tests.processes import Answer
from tests.webhooks.engines import new_lead, running_engine
from tests.webhooks.subscribing import subscribed
from tests.webhooks.test_delivery_log import EVENTS, delivery
from webhooks.models import Delivery, DeliveryState, Event, Webhook


def test_deliveries_are_listed_with_what_came_of_them(n8n, receiver, transactional_db):
    webhook = subscribed(n8n, url=receiver.url)
    receiver.answer_next(Answer(), Answer(status=400))
    new_lead(1)
    new_lead(2)
    path = f"/public/webhooks/{webhook['id']}/deliveries"
    waiting = n8n.get(path, {"state": "waiting"}).json()["results"]
    assert [row["attempts"] for row in waiting] == [0, 0]
    with running_engine(schedule=(0.0,)):
        receiver.wait_for(2)
    newest, oldest = n8n.get(path).json()["results"]
    assert (oldest["state"], newest["state"], newest["last_status"]) == ("delivered", "failed", 400)
    event = Event.objects.order_by("id").first()
    assert oldest == {
        "id": oldest["id"],
        "event_id": event.public_id,
        "type": "lead.created",
        "lead_id": event.lead_id,
        "sequence": 1,
        "state": "delivered",
        "attempts": 1,
        "created_at": oldest["created_at"],
        "next_attempt_at": None,
        "finished_at": oldest["finished_at"],
        "last_status": 200,
        "last_error": "",
    }
    assert n8n.get(path, {"sequence_after": 1}).json()["results"] == [newest]
    assert n8n.get(path, {"sequence_after": 0, "limit": 1}).json()["results"] == [oldest]
    assert n8n.get(path, {"state": "failed"}).json()["results"] == [newest]
    assert n8n.get(path, {"event_id": event.public_id}).json()["results"] == [oldest]
    assert n8n.get(path, {"event_id": "7"}).status_code == 400
    assert n8n.get(path, {"state": "lost"}).status_code == 400
    Event.objects.filter(pk=event.pk).delete()
    assert n8n.get(path, {"sequence_before": 2}).json()["results"] == [oldest | {"event_id": None}]


def test_deliveries_by_number_go_on_page_by_page(n8n):
    webhook = subscribed(n8n)
    for number in range(1, 6):
        new_lead(number)
    for number, row in enumerate(Delivery.objects.order_by("id"), start=1):
        Delivery.objects.filter(pk=row.pk).update(sequence=number)
    found, address = [], f"/public/webhooks/{webhook['id']}/deliveries?sequence_after=1&limit=2"
    while address:
        page = n8n.get(address).json()
        found += [row["sequence"] for row in page["results"]]
        address = page["next"]
    assert found == [2, 3, 4, 5]


def test_a_lost_scope_hides_the_lead_of_a_delivery(n8n):
    webhook = subscribed(n8n)
    new_lead(1)
    set_scopes(key=n8n.key, scopes=["notes:read"])
    [row] = n8n.get(f"/public/webhooks/{webhook['id']}/deliveries").json()["results"]
    assert (row["type"], row["lead_id"]) == ("lead.created", None)


@pytest.fixture
def many(n8n):
    """The path of a webhook with deliveries of all outcomes; another one's lie between them."""
    chance = random.Random(7)
    hooks = [Webhook.objects.get(pk=subscribed(n8n)["id"]) for _ in range(2)]
    Delivery.objects.bulk_create(
        delivery(
            chance.choice(hooks),
            number,
            event=chance.choice(EVENTS),
            state=chance.choice(list(DeliveryState)),
            lead_id=chance.randint(1, 4),
        )
        for number in range(400)
    )
    return hooks[0]


def walk(client, path, query):
    """The ids of all pages forth, which those back confirm."""
    pages, page = [], client.get(path, query).json()
    while True:
        pages.append([row["id"] for row in page["results"]])
        if page["next"] is None:
            break
        page = client.get(page["next"]).json()
    for ids in reversed(pages[:-1]):
        page = client.get(page["previous"]).json()
        assert [row["id"] for row in page["results"]] == ids
    return [pk for ids in pages for pk in ids]


def test_every_filter_finds_what_a_scan_finds_forth_and_back(n8n, many):
    path = f"/public/webhooks/{many.pk}/deliveries"
    states = [[], ["failed"], ["waiting"], ["cancelled", "waiting", "missed"]]
    types = [[], [EVENTS[0].value], [event.value for event in EVENTS[1:]]]
    for state, type_, ordering in itertools.product(states, types, ["id", "-id"]):
        scan = Delivery.objects.filter(webhook=many).order_by(ordering)
        scan = scan.filter(state__in=state) if state else scan
        scan = scan.filter(type__in=type_) if type_ else scan
        found = walk(n8n, path, {"state": state, "type": type_, "ordering": ordering, "limit": 25})
        assert found == list(scan.values_list("pk", flat=True)), (state, type_, ordering)


def test_filters_hold_together(n8n, many):
    path = f"/public/webhooks/{many.pk}/deliveries"
    chosen = Delivery.objects.filter(webhook=many, state="failed", sequence__lt=200, sequence__gt=50)
    query = {"state": "failed", "sequence_after": 50, "sequence_before": 200, "limit": 200}
    for ordering in ("id", "-id", None):
        answer = n8n.get(path, query | ({"ordering": ordering} if ordering else {})).json()
        by = chosen.order_by(ordering or "sequence")
        assert [row["id"] for row in answer["results"]] == list(by.values_list("pk", flat=True))
    event = chosen.first().event_id
    assert n8n.get(path, {"state": "failed", "event_id": f"evt_{event:032x}"}).json()["results"] == []


@pytest.mark.parametrize(
    "query", [{"state": "cancelled"}, {"type": "note.added"}, {"state": "missed", "type": "note.added"}]
)
@pytest.mark.parametrize("ordering", ["id", "-id"])
def test_rows_of_a_rare_state_or_event_are_found_by_an_index_from_its_end(n8n, many, query, ordering):
    path = f"/public/webhooks/{many.pk}/deliveries"
    first = n8n.get(path, query | {"ordering": ordering, "limit": 1}).json()
    with CaptureQueriesContext(connection) as queries:
        assert n8n.get(first["next"]).status_code == 200
    [ids] = [one["sql"] for one in queries if "UNION ALL" in one["sql"] or "answer_0" in one["sql"]]
    explain = "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of so few it would rather read all, or sort; that it can do without is what is asked.
            for way in ("seqscan", "bitmapscan"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            explain = "EXPLAIN"
        cursor.execute(f"{explain} {ids}", None)
        plan = " ".join(str(part) for row in cursor.fetchall() for part in row)
    assert "delivery_ended" in plan
    assert "Seq Scan" not in plan
    assert "SCAN webhooks_delivery" not in plan.replace("SCAN webhooks_delivery USING", "")
