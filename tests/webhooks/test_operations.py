"""What people and keys do with webhooks: results, refusals that write nothing, the audit without secrets."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apikeys.models import APIKey, AuditEntry
from calliyo.actor import Actor, ActorType, acting_as
from calliyo.errors import DomainError
from leads.models import Note
from tests.processes import Answer
from tests.webhooks.engines import ALL_EVENTS, end_overlap, new_key, new_lead, new_webhook, states
from webhooks import chores, secrets
from webhooks.delivery.clock import database_now
from webhooks.delivery.target import target_of
from webhooks.delivery.urls import InvalidUrl
from webhooks.models import Attempt, Delivery, EndpointState, Webhook
from webhooks.operations import (
    change_webhook,
    delete_webhook,
    reveal_secret,
    rotate_secret,
    send_test_event,
    subscribe,
    turn_off,
)
from webhooks.validation import InvalidSubscription, MissingEventScope

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/in?token=theirs"


@pytest.fixture
def key() -> APIKey:
    return new_key()


def audited(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)


def test_a_key_subscribes_and_the_audit_names_who_and_what_without_the_secret(key: APIKey) -> None:
    with acting_as(Actor(type=ActorType.USER, id=7, name="Ravi Kumar")):
        webhook = subscribe(
            api_key=key, url=URL, events=["note.added", "lead.created"], secret="sixteen letters!",
            headers={"Authorization": "Bearer of theirs"}, rate_limit=60, skip_own=True, ordering="strict",
        )  # fmt: skip
    webhook.refresh_from_db()
    assert webhook.events == ["lead.created", "note.added"]
    assert (webhook.url, webhook.active, webhook.version) == (URL, True, 1)
    assert (webhook.created_by_type, webhook.created_by_id, webhook.created_by_name) == (
        "user",
        7,
        "Ravi Kumar",
    )
    assert EndpointState.objects.get().webhook_id == webhook.pk
    assert "sixteen" not in webhook.secret and "theirs" not in webhook.headers
    assert reveal_secret(webhook) == "sixteen letters!"
    entry = audited("webhook.created")
    assert entry.data == {
        "webhook_id": webhook.pk, "host": "hooks.example.com", "events": ["lead.created", "note.added"],
        "has_secret": True, "active": True, "headers": ["Authorization"], "ordering": "strict", "rate_limit": 60,
        "skip_own": True,
    }  # fmt: skip
    everything = json.dumps(list(AuditEntry.objects.values_list("data", flat=True)))
    assert "sixteen" not in everything and "theirs" not in everything
    assert audited("webhook.secret_revealed").api_key_name == key.name


@pytest.mark.parametrize(("given", "shown"), [(None, None), ("", None), ("generate", "whsec_")])
def test_no_secret_or_a_generated_one(key: APIKey, given: str | None, shown: str | None) -> None:
    revealed = reveal_secret(subscribe(api_key=key, url=URL, events=ALL_EVENTS, secret=given))
    assert revealed is None if shown is None else str(revealed).startswith(shown)


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"url": "http://8.8.8.8/"}, "url", "invalid_url"),
        ({"url": "not a url"}, "url", "invalid_url"),
        ({"url": 5}, "url", "invalid_url"),
        ({"url": "https://10.0.0.1/"}, "url", "invalid_url"),
        ({"events": []}, "events", "invalid"),
        ({"events": ["lead.exploded"]}, "events", "invalid"),
        ({"events": "lead.created"}, "events", "invalid"),
        ({"secret": "too short"}, "secret", "invalid_secret"),
        ({"secret": "whsec_not base64 at all"}, "secret", "invalid_secret"),
        ({"ordering": "random"}, "ordering", "invalid"),
        ({"rate_limit": 0}, "rate_limit", "invalid"),
        ({"headers": {f"X-{n}": "a" for n in range(11)}}, "headers", "invalid"),
        ({"headers": {"Host": "evil.example"}}, "headers", "invalid"),
        ({"headers": {"webhook-ID": "evt_1"}}, "headers", "invalid"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers", "invalid"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers", "invalid"),
        ({"headers": {"X A": "a"}}, "headers", "invalid"),
        ({"headers": {"X-A": "ü"}}, "headers", "invalid"),
        ({"headers": {"X-A": 5}}, "headers", "invalid"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "headers", "invalid"),
        ({"headers": {"Content-Location": "/"}}, "headers", "invalid"),
        ({"headers": {"content-type": "text/plain"}}, "headers", "invalid"),
        ({"headers": {"Proxy-Authorization": "Basic eA=="}}, "headers", "invalid"),
        ({"headers": {"Connection": "X-A"}}, "headers", "invalid"),
        ({"headers": {"X-Calliyo-Anything": "1"}}, "headers", "invalid"),
        ({"headers": {"Webhook-Signature": "v1,x"}}, "headers", "invalid"),
        ({"headers": {"X" * 101: "a"}}, "headers", "invalid"),
        ({"headers": {"X-A": "a" * 1001}}, "headers", "invalid"),
        ({"headers": {"X-A": " a"}}, "headers", "invalid"),
        ({"headers": {"X-A": "a\x00"}}, "headers", "invalid"),
        ({"headers": {"X-A:": "a"}}, "headers", "invalid"),
        ({"headers": {"": "a"}}, "headers", "invalid"),
        ({"headers": {5: "a"}}, "headers", "invalid"),
        ({"headers": ["X-A"]}, "headers", "invalid"),
        ({"headers": "X-A: a"}, "headers", "invalid"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_field_and_nothing_is_written(
    key: APIKey, wrong: dict[str, Any], field: str, code: str
) -> None:
    entries = AuditEntry.objects.count()
    with pytest.raises(DomainError) as refusal:
        subscribe(**{"api_key": key, "url": URL, "events": ["lead.created"], **wrong})
    assert (refusal.value.field, refusal.value.code) == (field, code)
    assert not Webhook.objects.exists() and AuditEntry.objects.count() == entries
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"])
    with pytest.raises(DomainError) as refusal:
        change_webhook(webhook=webhook, **wrong)
    assert refusal.value.field == field
    webhook.refresh_from_db()
    assert webhook.version == 1


def test_an_event_without_its_scope_is_refused(key: APIKey) -> None:
    narrow = new_key("Dialer", ["calls:read", "leads:write"])
    with pytest.raises(MissingEventScope, match="leads:read") as refusal:
        subscribe(api_key=narrow, url=URL, events=["call.completed", "lead.created"])
    assert refusal.value.extra == {"event": "lead.created", "scope": "leads:read"}
    assert not Webhook.objects.exists()


def test_a_change_writes_what_is_named_and_tells_the_audit_the_fields(key: APIKey) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="generate")
    secret = webhook.secret
    changed = change_webhook(
        webhook=webhook, url="https://other.example/x", events=["note.added"], rate_limit=None
    )
    assert (changed.url, changed.events, changed.version, changed.secret) == (
        "https://other.example/x", ["note.added"], 2, secret,
    )  # fmt: skip
    assert audited("webhook.changed").data["fields"] == ["events", "rate_limit", "url"]
    assert reveal_secret(change_webhook(webhook=webhook, secret=None)) is None
    with pytest.raises(InvalidSubscription):
        change_webhook(webhook=webhook, version=9)


def test_a_rotation_keeps_the_old_secret_for_the_overlap_and_no_longer(key: APIKey) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="the first secret")
    rotated = rotate_secret(webhook=webhook)
    assert [secrets.decrypt(each["secret"]) for each in rotated.previous_secrets] == ["the first secret"]
    assert rotated.previous_secret_until is not None
    assert timedelta(hours=23) < rotated.previous_secret_until - timezone.now() <= timedelta(hours=24)
    assert chores.forget_previous_secrets() == 0
    end_overlap(webhook)
    assert chores.forget_previous_secrets() == 1
    webhook.refresh_from_db()
    assert (webhook.previous_secrets, webhook.previous_secret_until) == ([], None)
    assert rotate_secret(webhook=webhook, overlap=timedelta(0)).previous_secrets == []
    for overlap in (timedelta(days=8), timedelta(seconds=-1)):
        with pytest.raises(InvalidSubscription, match="0 to 7 days"):
            rotate_secret(webhook=webhook, overlap=overlap)


def test_a_second_rotation_within_the_overlap_ends_none_before_its_time(key: APIKey) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="the first secret")
    first_ends = rotate_secret(webhook=webhook, secret="the second secret").previous_secret_until
    webhook = rotate_secret(webhook=webhook, secret="the third secret!", overlap=timedelta(hours=1))
    now = database_now()
    assert target_of(webhook, now).secrets == ("the third secret!", "the second secret", "the first secret")
    assert webhook.previous_secret_until == first_ends
    assert first_ends is not None
    in_two_hours = now + timedelta(hours=2)
    assert target_of(webhook, in_two_hours).secrets == ("the third secret!", "the first secret")
    assert target_of(webhook, first_ends).secrets == ("the third secret!",)
    end_overlap(webhook)  # the second one's
    assert chores.forget_previous_secrets() == 1
    webhook.refresh_from_db()
    assert [secrets.decrypt(each["secret"]) for each in webhook.previous_secrets] == ["the first secret"]
    assert webhook.previous_secret_until == first_ends


def test_a_rotation_without_overlap_or_a_secret_that_is_set_ends_all_that_came_before(key: APIKey) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="the first secret")
    rotate_secret(webhook=webhook)
    webhook = rotate_secret(webhook=webhook, secret="the third secret!", overlap=timedelta(0))
    assert target_of(webhook, database_now()).secrets == ("the third secret!",)
    rotate_secret(webhook=webhook)
    webhook = change_webhook(webhook=webhook, secret="the fifth secret!")
    assert target_of(webhook, database_now()).secrets == ("the fifth secret!",)
    assert (webhook.previous_secrets, webhook.previous_secret_until) == ([], None)


def test_a_rotation_that_would_have_to_end_another_before_its_time_is_refused(key: APIKey) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="generate")
    for _ in range(5):
        webhook = rotate_secret(webhook=webhook)
    signing = target_of(webhook, database_now()).secrets
    assert len(set(signing)) == 6
    with pytest.raises(InvalidSubscription, match="5 earlier secrets sign still, the first of them until 20"):
        rotate_secret(webhook=webhook)
    webhook.refresh_from_db()
    assert target_of(webhook, database_now()).secrets == signing
    end_overlap(webhook, which=4)
    assert target_of(rotate_secret(webhook=webhook), database_now()).secrets[1:] == signing[:5]
    assert len(rotate_secret(webhook=webhook, overlap=timedelta(0)).previous_secrets) == 0


def test_an_earlier_secret_that_no_key_opens_is_left_behind_by_a_rotation(key: APIKey) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="the first secret")
    webhook = rotate_secret(webhook=webhook, secret="the second secret")
    webhook.previous_secrets[0]["secret"] = "damaged"
    webhook.save()
    EndpointState.objects.update(paused_until=timezone.now() + timedelta(minutes=1))
    webhook = rotate_secret(webhook=webhook, secret="the third secret!")
    assert target_of(webhook, database_now()).secrets == ("the third secret!", "the second secret")
    assert EndpointState.objects.get().paused_until is None


@pytest.mark.parametrize("how", ["rotated", "changed"])
def test_a_secret_that_no_key_opens_is_replaced_and_holds_nothing_any_more(key: APIKey, how: str) -> None:
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="generate")
    Webhook.objects.update(secret="damaged")
    EndpointState.objects.update(paused_until=timezone.now() + timedelta(minutes=1))
    new = "another typed one"
    if how == "rotated":
        webhook = rotate_secret(webhook=webhook, secret=new)
    else:
        webhook = change_webhook(webhook=webhook, secret=new)
    assert reveal_secret(webhook) == new
    assert (webhook.previous_secrets, webhook.previous_secret_until) == ([], None)
    assert EndpointState.objects.get().paused_until is None


def test_turning_off_misses_what_waits_and_turning_on_queues_again(key: APIKey) -> None:
    webhook = new_webhook("http://127.0.0.1:9/", key=key)
    new_lead(1)
    off = turn_off(webhook=webhook)
    assert (off.active, off.off_reason) == (False, "by_hand") and off.off_at is not None
    new_lead(2)
    assert states(webhook) == ["missed"]
    assert audited("webhook.turned_off").data == {"webhook_id": webhook.pk, "reason": "by_hand", "missed": 1}
    turn_off(webhook=webhook)
    EndpointState.objects.update(failures_in_a_row=9)
    on = change_webhook(webhook=webhook, active=True)
    assert (on.active, on.off_reason, on.off_at) == (True, "", None)
    assert EndpointState.objects.get().failures_in_a_row == 0
    new_lead(3)
    assert states(webhook) == ["missed", "waiting"]
    assert AuditEntry.objects.filter(action="webhook.turned_off").count() == 1


def test_what_was_queued_while_a_webhook_was_turned_off_is_missed_by_the_next_clean_up(key: APIKey) -> None:
    webhook = new_webhook("http://127.0.0.1:9/", key=key)
    new_lead(1)
    Webhook.objects.update(active=False, off_reason="by_hand")
    assert chores.mark_missed() == 1
    assert states(webhook) == ["missed"]


def test_a_deleted_webhook_goes_at_once_and_its_deliveries_in_batches(key: APIKey, monkeypatch) -> None:
    monkeypatch.setattr(chores, "BATCH", 2)
    kept, gone = new_webhook("http://127.0.0.1:9/a", key=key), new_webhook("http://127.0.0.1:9/b", key=key)
    for number in range(5):
        new_lead(number)
    Attempt.objects.create(
        delivery=Delivery.objects.filter(webhook=gone).first(),
        number=1,
        started_at=timezone.now(),
        total_ms=1,
    )
    number = gone.pk
    delete_webhook(webhook=gone)
    assert not EndpointState.objects.filter(webhook_id=number).exists()
    data = audited("webhook.deleted").data
    assert (data["webhook_id"], data["host"], data["events"]) == (number, "127.0.0.1", gone.events)
    assert chores.delete_leftovers() == 5
    assert states(kept) == ["waiting"] * 5 and Delivery.objects.count() == 5 and not Attempt.objects.exists()
    assert chores.delete_leftovers() == 0


@pytest.mark.parametrize("event", ALL_EVENTS)
def test_a_test_event_of_each_kind_goes_out_signed_and_is_audited(key: APIKey, receiver, event: str) -> None:
    webhook = new_webhook(receiver.url, key=key, events=["lead.created"], secret="generate")
    result = send_test_event(webhook=webhook, event_type=event)
    assert result.succeeded and result.status == 200
    [request] = receiver.requests
    body = json.loads(request.body)
    assert body["type"] == request.headers["x-calliyo-event"] == event
    assert body["id"] == request.headers["webhook-id"]
    assert "x-calliyo-sequence" not in request.headers and request.headers["x-calliyo-delivery"] == "test"
    assert request.headers["x-calliyo-signature"].startswith("t=")
    assert audited("webhook.tested").data["event"] == event
    assert not Delivery.objects.exists()


def test_a_test_event_that_fails_says_so(key: APIKey, receiver) -> None:
    receiver.answer_next(Answer(status=500, body=b"out of order"))
    result = send_test_event(webhook=new_webhook(receiver.url, key=key))
    assert (result.status, result.body, result.succeeded) == (500, b"out of order", False)
    narrow = new_webhook(receiver.url, key=new_key("Dialer", ["calls:read"]), events=["call.completed"])
    with pytest.raises(MissingEventScope):
        send_test_event(webhook=narrow, event_type="lead.created")
    assert len(receiver.requests) == 1


def test_a_samples_changes_and_shapes_are_those_of_real_events(key: APIKey, receiver) -> None:
    webhook = new_webhook(receiver.url, key=key, events=["note.added"])
    send_test_event(webhook=webhook, event_type="note.added")
    sample = json.loads(receiver.requests[0].body)
    Note.objects.create(lead=new_lead(), text="Budget approved", author_type="system")
    real = json.loads(Delivery.objects.get().event.payload)
    assert sample.keys() == real.keys()
    assert sample["data"]["note"].keys() == real["data"]["note"].keys()
    assert sample["data"]["lead"].keys() == real["data"]["lead"].keys()


def test_an_operation_inside_a_refused_request_leaves_nothing(key: APIKey) -> None:
    with pytest.raises(InvalidUrl):
        subscribe(api_key=key, url="https://localhost/\\", events=["lead.created"])
    assert not Webhook.objects.exists() and not EndpointState.objects.exists()
