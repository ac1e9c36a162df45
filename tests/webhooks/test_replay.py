"""Replay: new deliveries of old events, numbered when queued, in the log's order; refusals that queue nothing."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from apikeys.models import AuditEntry
from apikeys.operations import deactivate_key, set_scopes
from calliyo.actor import Actor, ActorType, acting_as
from leads.models import Note, User
from leads.roles import Role
from tests.clients import public_client
from tests.processes import wait_until
from tests.webhooks.engines import READ_ALL, new_key, new_lead, new_webhook, running_engine, states
from webhooks import replay
from webhooks.delivery.lease import take_leases
from webhooks.delivery.sequence import give_positions, number_deliveries
from webhooks.models import Delivery, DeliveryState, EndpointState, Event, Webhook
from webhooks.operations import change_webhook, turn_off, turn_on
from webhooks.validation import MissingEventScope

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/in"


@pytest.fixture
def webhook() -> Webhook:
    return new_webhook(URL)


def fresh(webhook: Webhook) -> Webhook:
    return Webhook.objects.select_related("api_key").get(pk=webhook.pk)


def end(webhook: Webhook, state: str, **chosen: Any) -> None:
    """Numbers what waits, and ends it so."""
    give_positions()
    number_deliveries([webhook.pk])
    Delivery.objects.filter(webhook_id=webhook.pk, state="waiting", **chosen).update(
        state=state, finished_at=timezone.now(), next_attempt_at=None
    )


def queued(webhook: Webhook) -> list[Delivery]:
    return list(Delivery.objects.filter(webhook_id=webhook.pk, cause="replay").order_by("pk"))


def test_one_event_becomes_a_new_delivery_of_the_same_event(webhook):
    new_lead(1)
    end(webhook, "delivered")
    event = Event.objects.get()
    with acting_as(Actor(type=ActorType.USER, id=3, name="Asha")):
        assert replay.replay(replay.one_event(webhook, event.public_id)) == 1
    [again] = queued(webhook)
    assert (again.event_id, again.state, again.attempts, again.sequence) == (event.pk, "waiting", 0, 2)
    assert (again.type, again.lead_id, again.body) == (event.type, event.lead_id, None)
    assert EndpointState.objects.get().last_sequence == 2
    entry = AuditEntry.objects.get(action="webhook.replayed")
    assert entry.actor_name == "Asha"
    assert entry.data == {"webhook_id": webhook.pk, "what": "event", "events": 1}


def test_what_was_queued_before_has_lower_numbers_and_what_comes_later_higher_ones(webhook):
    lead = new_lead(1)
    end(webhook, "delivered")
    first = Event.objects.get()
    lead.last_name = "Rao"
    lead.save()
    replay.replay(replay.one_event(webhook, first.public_id))
    lead.last_name = "Nair"
    lead.save()
    take_leases([webhook.pk], holder="me")
    give_positions()
    number_deliveries([webhook.pk])
    rows = Delivery.objects.order_by("sequence").values_list("sequence", "cause")
    assert list(rows) == [(1, "event"), (2, "event"), (3, "replay"), (4, "event")]
    assert list(Delivery.objects.order_by("pk").values_list("sequence", flat=True)) == [1, 2, 3, 4]


def test_all_that_failed_since_then_once_each_in_the_logs_order(webhook):
    leads = [new_lead(number) for number in range(4)]
    end(webhook, "failed", lead_id__in=[lead.pk for lead in leads[:3]])
    end(webhook, "delivered")
    Delivery.objects.filter(lead_id=leads[0].pk).update(finished_at=timezone.now() - timedelta(days=2))
    since = timezone.now() - timedelta(days=1)
    assert replay.count(replay.failed(webhook)).events == 3
    choice = replay.failed(webhook, since=since)
    assert replay.count(choice) == replay.Count(events=2, out_of_scope=0, gone=0)
    assert replay.replay(choice) == 2
    assert [delivery.lead_id for delivery in queued(webhook)] == [leads[1].pk, leads[2].pk]
    # They are on their way; then one arrives, and the other fails again.
    assert replay.count(replay.failed(webhook)).events == 1
    end(webhook, "delivered", lead_id=leads[1].pk)
    end(webhook, "failed")
    assert replay.replay(replay.failed(webhook, since=since)) == 1
    assert queued(webhook)[-1].lead_id == leads[2].pk


def test_everything_since_then_whatever_came_of_it(webhook):
    for number in range(3):
        new_lead(number)
    end(webhook, "delivered")
    Event.objects.filter(pk=Event.objects.order_by("pk")[0].pk).update(
        created_at=timezone.now() - timedelta(days=2)
    )
    new_lead(3)  # on its way
    choice = replay.everything_since(webhook, timezone.now() - timedelta(days=1))
    assert replay.replay(choice) == 2
    assert replay.replay(choice) == 0


def test_a_selection_of_deliveries(webhook):
    other = new_webhook(URL, key=new_key("Other"))
    for number in range(3):
        new_lead(number)
    end(webhook, "delivered")
    chosen = list(Delivery.objects.filter(webhook_id=webhook.pk).order_by("pk"))[1:]
    assert replay.replay(replay.deliveries(webhook, [delivery.pk for delivery in chosen])) == 2
    assert [delivery.event_id for delivery in queued(webhook)] == [delivery.event_id for delivery in chosen]
    theirs = Delivery.objects.filter(webhook_id=other.pk)[0]
    with pytest.raises(replay.NothingToReplay, match=f"no delivery {theirs.pk}"):
        replay.deliveries(webhook, [chosen[0].pk, theirs.pk])


def test_what_was_missed_while_off_is_found_in_the_log_and_sent_once(webhook):
    leads = [new_lead(number) for number in range(2)]
    end(webhook, "delivered", lead_id=leads[0].pk)
    turn_off(webhook=webhook)  # the second one waited
    leads += [new_lead(number) for number in range(2, 5)]
    Note.objects.create(lead=leads[0], text="not subscribed", author_type="system", author_name="x")
    give_positions()
    assert replay.count(replay.missed(fresh(webhook))).events == 4
    with pytest.raises(replay.WebhookIsOff):
        replay.replay(replay.missed(fresh(webhook)))
    assert not AuditEntry.objects.filter(action="webhook.replayed").exists()
    turn_on(webhook=webhook)
    new_lead(9)  # queued as ever
    choice = replay.missed(fresh(webhook))
    assert replay.count(choice).events == 4
    assert replay.replay(choice) == 4
    assert [delivery.lead_id for delivery in queued(webhook)] == [lead.pk for lead in leads[1:]]
    assert replay.count(replay.missed(fresh(webhook))).events == 0


def test_what_was_missed_stays_findable_when_it_is_turned_off_again(webhook):
    turn_off(webhook=webhook)
    new_lead(1)
    give_positions()
    turn_on(webhook=webhook)
    turn_off(webhook=webhook)
    new_lead(2)
    give_positions()
    turn_on(webhook=webhook)
    assert replay.replay(replay.missed(fresh(webhook))) == 2
    turn_off(webhook=webhook)
    new_lead(3)
    # Nothing of before is missed any more: two replays wait, and are now missed again with the third.
    assert replay.count(replay.missed(fresh(webhook))).events == 3


def test_its_own_changes_are_not_missed_by_a_webhook_that_skips_them():
    key = new_key()
    webhook = new_webhook(URL, key=key, skip_own=True)
    turn_off(webhook=webhook)
    with acting_as(Actor(type=ActorType.API_KEY, id=key.pk, name=key.name)):
        new_lead(1)
    new_lead(2)
    assert replay.count(replay.missed(fresh(webhook))).events == 1


def test_scopes_that_the_key_lacks_are_refused_by_name_and_left_out_of_many(webhook):
    lead = new_lead(1)
    change_webhook(webhook=webhook, events=["lead.created", "note.added"])
    Note.objects.create(lead=lead, text="Hello", author_type="system", author_name="x")
    end(webhook, "failed")
    set_scopes(key=webhook.api_key, scopes=["leads:read"])
    changed = fresh(webhook)
    note = Event.objects.get(type="note.added")
    with pytest.raises(MissingEventScope, match="notes:read"):
        replay.one_event(changed, note.public_id)
    with pytest.raises(MissingEventScope):
        replay.deliveries(changed, list(Delivery.objects.values_list("pk", flat=True)))
    assert replay.count(replay.failed(changed)) == replay.Count(events=1, out_of_scope=1, gone=0)
    assert replay.replay(replay.failed(changed)) == 1
    assert [delivery.type for delivery in queued(webhook)] == ["lead.created"]


def test_pruned_events_are_refused_by_name_and_counted_among_many(webhook):
    for number in range(2):
        new_lead(number)
    end(webhook, "failed")
    first = Event.objects.order_by("pk")[0]
    Event.objects.filter(pk=first.pk).delete()
    with pytest.raises(replay.NothingToReplay, match="no longer kept"):
        replay.one_event(webhook, first.public_id)
    with pytest.raises(replay.NothingToReplay, match="no longer kept"):
        replay.deliveries(webhook, list(Delivery.objects.values_list("pk", flat=True)))
    assert not queued(webhook)
    assert replay.count(replay.failed(webhook)) == replay.Count(events=1, out_of_scope=0, gone=1)


def test_what_is_on_its_way_is_not_queued_twice(webhook):
    new_lead(1)
    with pytest.raises(replay.NothingToReplay, match="on its way"):
        replay.one_event(webhook, Event.objects.get().public_id)
    assert states(webhook) == ["waiting"]


def test_a_deactivated_keys_replays_wait(webhook):
    new_lead(1)
    end(webhook, "failed")
    deactivate_key(key=webhook.api_key)
    assert replay.replay(replay.failed(fresh(webhook))) == 1


def test_many_are_queued_in_few_statements_and_batches_keep_the_order(
    webhook, monkeypatch, django_assert_max_num_queries
):
    for number in range(30):
        new_lead(number)
    end(webhook, "failed")
    choice = replay.failed(webhook)
    with django_assert_max_num_queries(22):
        assert replay.replay(choice) == 30
    monkeypatch.setattr(replay, "BATCH", 7)
    Delivery.objects.filter(cause="replay").update(
        state=DeliveryState.FAILED, finished_at=timezone.now(), next_attempt_at=None
    )
    assert replay.replay(replay.failed(webhook)) == 30
    positions = [delivery.event.position for delivery in queued(webhook)[30:]]
    assert positions == sorted(positions)
    assert [delivery.sequence for delivery in queued(webhook)] == list(range(31, 91))


@pytest.mark.django_db(transaction=True)
def test_a_replay_arrives_with_the_same_id_and_a_number_of_its_own(receiver):
    webhook = new_webhook(receiver.url)
    new_lead(1)
    with running_engine():
        receiver.wait_for(1)
        wait_until(lambda: states(webhook) == ["delivered"])
        replay.replay(replay.one_event(webhook, Event.objects.get().public_id))
        first, second = receiver.wait_for(2)
        wait_until(lambda: states(webhook) == ["delivered", "delivered"])
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["x-calliyo-delivery"] != second.headers["x-calliyo-delivery"]
    assert [one.headers["x-calliyo-sequence"] for one in (first, second)] == ["1", "2"]


# ── The command ─────────────────────────────────────────────────────────────────────────────────────────────


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("replay", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command_counts_and_queues(webhook):
    for number in range(3):
        new_lead(number)
    end(webhook, "failed")
    number = ["--webhook", str(webhook.pk)]
    told = {"webhook": webhook.pk, "events": 3, "queued": 0, "out_of_scope": 0, "no_longer_kept": 0}
    assert run(*number, "--failed", "--dry-run") == told
    assert not queued(webhook)
    assert run(*number, "--failed", "--since", "1h") == {**told, "queued": 3}
    end(webhook, "delivered")
    assert run(*number, "--since", "2020-01-01")["queued"] == 3
    assert run(*number, "--missed")["queued"] == 0
    end(webhook, "delivered")
    assert run(*number, "--event-id", Event.objects.order_by("pk")[0].public_id)["queued"] == 1
    out = StringIO()
    call_command("replay", *number, "--failed", stdout=out)
    assert out.getvalue() == "0 events to send again; 0 deliveries queued.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        ([], 2, "Say one of"),
        (["--failed", "--missed"], 2, "Say one of"),
        (["--since", "1h", "--missed"], 2, "alone or with --failed"),
        (["--since", "yesterday"], 1, "is no time"),
        (["--event-id", "evt_1"], 1, "no event 'evt_1'"),
    ],
)
def test_the_command_refuses_what_it_can_not_do(webhook, arguments, status, reason):
    with pytest.raises(CommandError, match=reason) as refusal:
        call_command("replay", "--webhook", str(webhook.pk), *arguments)
    assert refusal.value.returncode == status


def test_the_command_refuses_a_webhook_that_is_not_there_or_off(webhook):
    with pytest.raises(CommandError, match="no webhook 99"):
        call_command("replay", "--webhook", "99", "--failed")
    turn_off(webhook=webhook)
    with pytest.raises(CommandError, match="turn it on first"):
        call_command("replay", "--webhook", str(webhook.pk), "--failed")


def ask_the_api(webhook: Webhook) -> None:
    client = public_client(*READ_ALL, manage_webhooks=True)
    # A key replays what it made itself.
    Webhook.objects.update(api_key=client.key, created_by_type="api_key", created_by_id=client.key.pk)
    answer = client.post(f"/public/webhooks/{webhook.pk}/replay", {"missed": True})
    assert (answer.status_code, answer.json()["queued"]) == (202, 35)


def ask_the_page(webhook: Webhook) -> None:
    admin = User.objects.create_user("priya", "priya@example.com", "x", name="Priya", role=Role.COMPANY_ADMIN)
    client = Client()
    client.force_login(admin)
    assert client.post(f"/settings/api/webhooks/{webhook.pk}/missed").status_code == 302


def ask_the_command(webhook: Webhook) -> None:
    call_command("replay", "--webhook", str(webhook.pk), "--missed", stdout=StringIO())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ask", [ask_the_api, ask_the_page, ask_the_command])
def test_very_many_are_queued_in_short_transactions_whoever_asks_for_them(webhook, monkeypatch, ask):
    turn_off(webhook=webhook)
    for number in range(35):
        new_lead(number)
    turn_on(webhook=webhook)
    batches: list[tuple[bool, int]] = []
    queue = replay.queue

    def watched(webhook_id: int, event_ids: list[int]) -> int:
        batches.append((connection.in_atomic_block, len(event_ids)))
        return queue(webhook_id, event_ids)

    monkeypatch.setattr(replay, "BATCH", 10)
    monkeypatch.setattr(replay, "queue", watched)
    ask(webhook)
    assert batches == [(False, 10)] * 3 + [(False, 5)]
    assert states(webhook) == ["waiting"] * 35
