"""What a key has its webhook do: a test event now, events again; and what that costs."""

import pytest
from django.db import connection
from django.utils import timezone

from apikeys import throttling
from apikeys.models import AuditEntry
from apikeys.operations import set_scopes
from apikeys.slots import SLOTS
from tests.processes import Answer
from tests.webhooks.engines import new_lead
from tests.webhooks.subscribing import subscribed
from webhooks import replay, resending
from webhooks.delivery.configured import configured_sender
from webhooks.models import Delivery, Event
from webhooks.signing import calliyo_signature_holds


def test_a_test_event_is_signed_and_its_outcome_told(n8n, receiver):
    webhook = subscribed(
        n8n, url=receiver.url, secret="sixteen letters!", events=["lead.created", "note.added"]
    )
    receiver.answer_next(Answer(), Answer(status=503, body=b"their own words"))
    path = f"/public/webhooks/{webhook['id']}/test"
    told = n8n.post(path, {"event": "note.added"}).json()
    [sent] = receiver.requests
    assert told == {
        "event_id": sent.headers["webhook-id"], "type": "note.added", "succeeded": True, "status": 200,
        "error": None, "duration_ms": told["duration_ms"],
    }  # fmt: skip
    signature, now = sent.headers["x-calliyo-signature"], int(sent.headers["webhook-timestamp"])
    assert calliyo_signature_holds(signature, secret="sixteen letters!", body=sent.body, now=now)
    failed = n8n.post(path)
    assert (failed.status_code, failed.json()["type"], failed.json()["status"]) == (200, "lead.created", 503)
    assert failed.json()["error"]["code"] == "status"
    assert b"their own words" not in failed.content
    assert AuditEntry.objects.filter(action="webhook.tested", actor_id=n8n.key.pk).count() == 2
    assert not Delivery.objects.exists()


def test_a_test_event_goes_to_no_address_that_is_not_allowed(n8n, receiver, settings):
    webhook = subscribed(n8n, url=receiver.url)
    settings.CALLIYO_WEBHOOK_ALLOWED_NETWORKS = []
    told = n8n.post(f"/public/webhooks/{webhook['id']}/test").json()
    assert (told["succeeded"], told["status"]) == (False, None)
    assert told["error"]["code"] in {"url_refused", "address_refused"}
    assert receiver.requests == []


def test_a_slow_endpoint_holds_a_test_no_longer_than_the_timeout(n8n, receiver, settings):
    settings.CALLIYO_WEBHOOK_TIMEOUT = 0.3
    webhook = subscribed(n8n, url=receiver.url)
    receiver.answer_next(Answer(delay=3))
    told = n8n.post(f"/public/webhooks/{webhook['id']}/test").json()
    assert told["error"]["code"] == "timed_out"
    assert 300 <= told["duration_ms"] < 2500


def test_no_transaction_is_open_while_a_test_waits(n8n, receiver, monkeypatch, transactional_db):
    webhook = subscribed(n8n, url=receiver.url)
    in_transaction = []

    def noting():
        in_transaction.append(connection.in_atomic_block)
        return configured_sender()

    monkeypatch.setattr("webhooks.operations.configured_sender", noting)
    told = n8n.post(f"/public/webhooks/{webhook['id']}/test", Idempotency_Key="one")
    again = n8n.post(f"/public/webhooks/{webhook['id']}/test", Idempotency_Key="one")
    assert again.content == told.content
    assert (in_transaction, len(receiver.requests)) == ([False], 1)


def test_what_failed_is_queued_again(n8n):
    webhook = subscribed(n8n)
    new_lead(1)
    new_lead(2)
    path = f"/public/webhooks/{webhook['id']}/replay"
    on_its_way = n8n.post(path, {"failed": True})
    assert (on_its_way.status_code, on_its_way.json()["queued"]) == (202, 0)
    first, second = Delivery.objects.order_by("id")
    Delivery.objects.update(state="failed", finished_at=first.created_at, next_attempt_at=None)
    assert n8n.post(path, {"delivery_ids": [first.pk]}).json() == {
        "queued": 1, "out_of_scope": 0, "no_longer_kept": 0,
    }  # fmt: skip
    assert n8n.post(path, {"event_id": second.event.public_id}).json()["queued"] == 1
    assert n8n.post(path, {"event_id": second.event.public_id}).status_code == 400
    assert Delivery.objects.filter(cause="replay", state="waiting").count() == 2
    entry = AuditEntry.objects.filter(action="webhook.replayed").first()
    assert (entry.actor_type, entry.actor_id) == ("api_key", n8n.key.pk)


def test_what_was_missed_and_all_since_are_queued_too(n8n):
    webhook = subscribed(n8n)
    path = f"/public/webhooks/{webhook['id']}"
    n8n.patch(path, {"active": False})
    new_lead(1)
    off = n8n.post(f"{path}/replay", {"missed": True})
    assert (off.status_code, off.json()["code"]) == (409, "webhook_off")
    n8n.patch(path, {"active": True})
    assert n8n.post(f"{path}/replay", {"missed": True}).json()["queued"] == 1
    since = n8n.get(path).json()["created_at"]
    assert n8n.post(f"{path}/replay", {"since": since}).json()["queued"] == 0  # on its way
    Delivery.objects.update(state="delivered", finished_at=since, next_attempt_at=None)
    assert n8n.post(f"{path}/replay", {"since": since}).json()["queued"] == 1


def test_replay_leaves_out_what_the_key_may_not_see(n8n):
    webhook = subscribed(n8n)
    new_lead(1)
    event = Event.objects.get()
    Delivery.objects.update(state="failed", finished_at=event.created_at, next_attempt_at=None)
    set_scopes(key=n8n.key, scopes=["notes:read"])
    path = f"/public/webhooks/{webhook['id']}/replay"
    assert n8n.post(path, {"failed": True}).json() == {"queued": 0, "out_of_scope": 1, "no_longer_kept": 0}
    assert n8n.post(path, {"event_id": event.public_id}).status_code == 403
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {}, {"failed": False}, {"failed": True, "missed": True}, {"event_id": "evt_1", "since": "2026-11-24T00:00:00Z"},
        {"since": "yesterday"}, {"since": "0000-01-01T00:00:00Z"}, {"delivery_ids": []}, {"delivery_ids": [10**30]},
        {"event_id": "evt_\0"}, {"all": True}, {"delivery_ids": [7]},
    ],
)  # fmt: skip
def test_a_replay_that_says_nothing_clear_is_refused(n8n, body):
    webhook = subscribed(n8n)
    assert n8n.post(f"/public/webhooks/{webhook['id']}/replay", body).status_code == 400
    assert not AuditEntry.objects.filter(action="webhook.replayed").exists()


def test_very_many_are_queued_in_transactions_of_a_batch(n8n, monkeypatch, transactional_db):
    webhook = subscribed(n8n)
    for number in range(5):
        new_lead(number)
    Delivery.objects.update(state="failed", finished_at="2026-11-24T00:00:00Z", next_attempt_at=None)
    monkeypatch.setattr(replay, "BATCH", 2)
    seen = []
    queue = replay.queue

    def noting(*arguments):
        seen.append(connection.in_atomic_block)
        return queue(*arguments)

    monkeypatch.setattr(replay, "queue", noting)
    answer = n8n.post(f"/public/webhooks/{webhook['id']}/replay", {"failed": True}, Idempotency_Key="one")
    assert (answer.status_code, answer.json()["queued"]) == (202, 5)
    assert seen == [False, False, False]
    again = n8n.post(f"/public/webhooks/{webhook['id']}/replay", {"failed": True}, Idempotency_Key="one")
    assert (again.json()["queued"], again["Idempotent-Replayed"]) == (5, "true")
    assert Delivery.objects.filter(cause="replay").count() == 5


def test_what_is_too_much_for_a_request_is_ordered_and_queued_by_a_worker(n8n, monkeypatch):
    webhook = subscribed(n8n)
    for number in range(5):
        new_lead(number)
    Delivery.objects.update(state="failed", finished_at=timezone.now(), next_attempt_at=None)
    monkeypatch.setattr(resending, "AT_ONCE", 4)
    path = f"/public/webhooks/{webhook['id']}/replay"
    answer = n8n.post(path, {"failed": True})
    assert (answer.status_code, answer.json()["queued"]) == (202, 5)
    assert not Delivery.objects.filter(cause="replay").exists()
    second = n8n.post(path, {"since": "2026-01-01T00:00:00Z"})
    assert (second.status_code, second.json()["code"]) == (409, "already_resending")
    assert AuditEntry.objects.filter(action="webhook.replayed").count() == 1
    resending.carry_on()
    assert Delivery.objects.filter(cause="replay").count() == 5


def test_tests_and_replays_cost_ten_requests(client_with, receiver, monkeypatch):
    # In which no time passes: on a busy machine three tests may take as long as the bucket takes to fill again.
    monkeypatch.setattr(throttling, "BUCKETS", throttling.LocalBuckets(lambda: 0.0))
    client = client_with("leads:read", manage_webhooks=True, rate_limit=30)
    webhook = subscribed(client, url=receiver.url)
    path = f"/public/webhooks/{webhook['id']}"
    assert [client.post(f"{path}/test").status_code for _ in range(3)] == [200, 200, 429]
    assert len(receiver.requests) == 2


def test_two_tests_of_a_key_wait_at_once_and_no_more(n8n, receiver):
    path = f"/public/webhooks/{subscribed(n8n, url=receiver.url)['id']}/test"
    with SLOTS.held(f"test:{n8n.key.pk}", most=2, seconds=15):
        assert n8n.post(path).status_code == 200
        with SLOTS.held(f"test:{n8n.key.pk}", most=2, seconds=15):
            refused = n8n.post(path)
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "rate_limited", "1")
    assert n8n.post(path).status_code == 200
    assert len(receiver.requests) == 2
