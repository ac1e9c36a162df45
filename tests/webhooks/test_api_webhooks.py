"""`/public/webhooks`: a key subscribes, changes and ends what it made itself, and nothing else."""

import json

import pytest
from django.db import connection

from apikeys.models import AuditEntry, IdempotencyRecord
from apikeys.operations import set_limits, set_scopes
from apikeys.slots import SLOTS
from calliyo.actor import Actor, ActorType, acting_as
from tests.processes import Answer
from tests.webhooks.engines import new_lead, running_engine
from webhooks import replay, secrets
from webhooks.delivery.configured import configured_sender
from webhooks.models import Delivery, EndpointState, Event, OffReason, Webhook
from webhooks.operations import change_webhook, delete_webhook, subscribe, turn_off
from webhooks.reencryption import reencrypt_secrets
from webhooks.signing import calliyo_signature_holds

URL = "https://hooks.example.com/in"
NEW = {"url": URL, "events": ["lead.created"]}


@pytest.fixture
def n8n(client_with):
    return client_with("leads:read", "notes:read", manage_webhooks=True, name="n8n")


def subscribed(client, **more):
    answer = client.post("/public/webhooks", NEW | more)
    assert answer.status_code == 201, answer.content
    return answer.json()


# ── Subscribe, see, change, unsubscribe ─────────────────────────────────────────────────────────────────────


def test_a_key_subscribes_by_itself_and_unsubscribes(n8n):
    answer = n8n.post("/public/webhooks", NEW)
    webhook = answer.json()
    assert (answer.status_code, answer["Location"]) == (201, f"/public/webhooks/{webhook['id']}")
    assert webhook == {
        "id": webhook["id"],
        "version": 1,
        "url": URL,
        "events": ["lead.created"],
        "active": True,
        "off_reason": None,
        "off_at": None,
        "health": "healthy",
        "has_secret": False,
        "previous_secret_until": None,
        "ordering": "per_lead",
        "skip_own": False,
        "headers": {},
        "rate_limit": None,
        "created_by": {"type": "api_key", "id": n8n.key.pk, "name": "n8n"},
        "created_at": webhook["created_at"],
        "updated_at": webhook["created_at"],
    }
    assert n8n.get(answer["Location"]).json() == webhook
    assert n8n.get("/public/webhooks").json()["results"] == [webhook]
    new_lead()
    assert Delivery.objects.get().webhook_id == webhook["id"]
    assert n8n.request("DELETE", answer["Location"]).status_code == 204
    assert not Webhook.objects.exists()
    assert n8n.request("DELETE", answer["Location"]).status_code == 404


def test_all_of_it_may_be_said_at_once(n8n):
    webhook = subscribed(
        n8n, events=["note.added", "lead.created"], secret="sixteen letters!", active=False, ordering="strict",
        skip_own=True, headers={"Authorization": "Bearer of theirs"}, rate_limit=60,
    )  # fmt: skip
    assert webhook["events"] == ["lead.created", "note.added"]
    assert (webhook["active"], webhook["off_reason"], webhook["health"]) == (False, "by_hand", "off")
    assert (webhook["ordering"], webhook["skip_own"], webhook["rate_limit"]) == ("strict", True, 60)
    assert webhook["headers"] == {"Authorization": "(hidden)"}
    assert webhook["has_secret"]
    assert "secret" not in webhook  # it was typed: they have it
    assert "of theirs" not in json.dumps([*Webhook.objects.values()], default=str)


def test_the_endpoints_health_is_told(n8n):
    webhook = subscribed(n8n)
    EndpointState.objects.update(health="down")
    assert n8n.get(f"/public/webhooks/{webhook['id']}").json()["health"] == "down"


def test_a_form_subscribes_too(n8n):
    answer = n8n._client.post(
        "/public/webhooks",
        {"url": URL, "events": ["lead.created", "note.added"], "skip_own": "true", "utm": "x"},
        headers={"Authorization": f"Bearer {n8n.token}"},
    )
    assert answer.status_code == 201
    assert answer.json()["events"] == ["lead.created", "note.added"]
    assert (answer.json()["skip_own"], answer.json()["ignored_fields"]) == (True, ["utm"])


def test_a_patch_writes_what_it_names(n8n):
    webhook = subscribed(n8n, secret="sixteen letters!", headers={"X-Tenant": "7"})
    path = f"/public/webhooks/{webhook['id']}"
    changed = n8n.patch(path, {"events": ["note.added"], "rate_limit": 5}).json()
    assert changed == webhook | {
        "events": ["note.added"], "rate_limit": 5, "version": 2, "updated_at": changed["updated_at"],
    }  # fmt: skip
    off = n8n.patch(path, {"active": False}).json()
    assert (off["active"], off["off_reason"], off["health"]) == (False, "by_hand", "off")
    on = n8n.patch(path, {"active": True}).json()
    assert (on["active"], on["off_reason"], on["off_at"]) == (True, None, None)
    assert n8n.patch(path, {}).json() == on


def test_a_hidden_header_that_comes_back_stays_what_it_was(n8n):
    webhook = subscribed(n8n, headers={"X-Tenant": "7", "X-Other": "8"})
    path = f"/public/webhooks/{webhook['id']}"
    changed = n8n.patch(path, {"headers": {"X-Tenant": "(hidden)", "X-New": "9"}}).json()
    assert changed["headers"] == {"X-Tenant": "(hidden)", "X-New": "(hidden)"}
    stored = secrets.decrypt(Webhook.objects.get().headers)
    assert json.loads(stored) == {"X-Tenant": "7", "X-New": "9"}


def test_if_match_holds_for_change_and_end(n8n):
    webhook = subscribed(n8n)
    path = f"/public/webhooks/{webhook['id']}"
    etag = n8n.get(path)["ETag"]
    assert n8n.patch(path, {"rate_limit": 5}, If_Match=etag).status_code == 200
    assert n8n.patch(path, {"rate_limit": 6}, If_Match=etag).status_code == 412
    assert n8n.request("DELETE", path, headers={"If-Match": etag}).status_code == 412
    assert Webhook.objects.get().rate_limit == 5
    assert n8n.get(path, If_None_Match=n8n.get(path)["ETag"]).status_code == 304


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "https://10.0.0.7/in"}, "url"),
        ({"url": "http://hooks.example.com/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://user:word@hooks.example.com/"}, "url"),
        ({"url": "https://hooks.example.com/\x7f"}, "url"),
        ({"url": None}, "url"),
        ({"events": []}, "events"),
        ({"events": "lead.created"}, "events"),
        ({"events": ["lead.deleted"]}, "events.0"),
        ({"secret": "short"}, "secret"),
        ({"secret": "whsec_not base64 at all"}, "secret"),
        ({"secret": ""}, "secret"),
        ({"headers": {"Host": "elsewhere"}}, "headers"),
        ({"headers": {f"X-{n}": "" for n in range(11)}}, "headers"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers"),
        ({"headers": ["X-A"]}, "headers"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": 10**400}, "rate_limit"),
        ({"ordering": "any"}, "ordering"),
        ({"active": "perhaps"}, "active"),
        ({"health": "healthy"}, "health"),
        ({"api_key": 1}, "api_key"),
        ({"secret_overlap_seconds": 1}, "secret_overlap_seconds"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_writes_nothing(n8n, wrong, field, settings):
    settings.CALLIYO_WEBHOOK_ALLOWED_NETWORKS = []
    answer = n8n.post("/public/webhooks", NEW | wrong)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] in {field, f"{field}.X-A", None}
    assert not Webhook.objects.exists()
    webhook = subscribed(n8n)
    path = f"/public/webhooks/{webhook['id']}"
    assert n8n.patch(path, wrong).status_code == 400
    assert n8n.get(path).json() == webhook


@pytest.mark.parametrize("body", [b"[]", b"7", b"{", b'{"url": "\xff"}', b'{"url": "\\ud800", "events": []}'])
def test_any_body_is_answered_below_500(n8n, body):
    for method, path in (("POST", ""), ("PATCH", "/1"), ("POST", "/1/test"), ("POST", "/1/replay")):
        subscribed(n8n)
        assert 400 <= n8n.request(method, f"/public/webhooks{path}", body).status_code < 500


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_webhooks_are_a_list_as_any_other(n8n):
    made = [subscribed(n8n, url=f"{URL}/{n}") for n in range(3)]
    page = n8n.get("/public/webhooks", {"limit": 2}).json()
    assert [row["id"] for row in page["results"]] == [made[2]["id"], made[1]["id"]]
    assert [row["id"] for row in n8n.get(page["next"]).json()["results"]] == [made[0]["id"]]
    assert n8n.get("/public/webhooks", {"url": f"{URL}/1"}).json()["results"] == [made[1]]
    n8n.patch(f"/public/webhooks/{made[0]['id']}", {"active": False})
    off = n8n.get("/public/webhooks", {"active": "false", "fields": "id"}).json()["results"]
    assert off == [{"id": made[0]["id"]}]
    changed = n8n.get("/public/webhooks", {"updated_after": made[2]["created_at"]}).json()["results"]
    assert [row["id"] for row in changed] == [made[2]["id"], made[0]["id"]]
    assert n8n.get("/public/webhooks", {"event": "lead.created"}).status_code == 400
    lines = n8n.get("/public/webhooks", Accept="application/x-ndjson").getvalue().splitlines()
    assert len(lines) == 3


def test_a_list_costs_the_same_statements_however_long(n8n, django_assert_max_num_queries):
    subscribed(n8n)
    n8n.get("/public/webhooks")
    for _ in range(5):
        subscribed(n8n, headers={"X-A": "1"})
    with django_assert_max_num_queries(3):
        assert len(n8n.get("/public/webhooks").json()["results"]) == 6


def test_what_is_gone_is_told_to_the_key_that_made_it(n8n, client_with):
    other = client_with("leads:read", manage_webhooks=True)
    webhook, theirs = subscribed(n8n), subscribed(other)
    with acting_as(Actor(type=ActorType.USER, id=1, name="Ravi")):
        made_for_it = subscribe(api_key=n8n.key, url=URL, events=["lead.created"])
        delete_webhook(webhook=made_for_it)
        delete_webhook(webhook=Webhook.objects.get(pk=webhook["id"]))
    other.request("DELETE", f"/public/webhooks/{theirs['id']}")
    gone = n8n.get("/public/webhooks", {"deleted_after": webhook["created_at"]}).json()["results"]
    assert gone == [{"id": webhook["id"], "deleted_at": gone[0]["deleted_at"]}]
    later = gone[0]["deleted_at"].replace("2026", "2036")
    assert n8n.get("/public/webhooks", {"deleted_after": later}).json()["results"] == []
    assert n8n.get("/public/webhooks", {"deleted_before": later}).status_code == 400


# ── Never wider ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("POST", "", NEW),
        ("GET", "/{pk}", None),
        ("PATCH", "/{pk}", {"active": False}),
        ("DELETE", "/{pk}", None),
        ("POST", "/{pk}/test", {}),
        ("GET", "/{pk}/deliveries", None),
        ("POST", "/{pk}/replay", {"failed": True}),
    ],
)
def test_a_key_without_the_switch_does_nothing_here(n8n, method, path, body):
    webhook = subscribed(n8n)
    set_limits(key=n8n.key, rate_limit=0, allowed_addresses=[], allowed_origins=[], manage_webhooks=False)
    answer = n8n.request(
        method,
        f"/public/webhooks{path}".format(pk=webhook["id"]),
        json.dumps(body) if body is not None else "",
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "webhooks_not_allowed")
    assert Webhook.objects.get().active


def test_an_event_needs_its_scope_on_subscribing_and_on_changing(n8n):
    answer = n8n.post("/public/webhooks", NEW | {"events": ["lead.created", "call.completed"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert answer.json()["errors"][0]["field"] == "events"
    assert 'scope="calls:read"' in answer["WWW-Authenticate"]
    assert not Webhook.objects.exists()
    path = f"/public/webhooks/{subscribed(n8n)['id']}"
    assert n8n.patch(path, {"events": ["call.completed"]}).status_code == 403
    assert n8n.post(f"{path}/test", {"event": "call.completed"}).status_code == 403
    assert Webhook.objects.get().events == ["lead.created"]


@pytest.mark.parametrize("whose", ["another key's", "staff's for this key"])
def test_what_it_did_not_make_is_not_there(n8n, client_with, whose):
    new_lead(1)
    if whose == "another key's":
        other = client_with("leads:read", manage_webhooks=True)
        pk = subscribed(other)["id"]
    else:
        with acting_as(Actor(type=ActorType.USER, id=n8n.key.pk, name="Ravi")):
            pk = subscribe(api_key=n8n.key, url=URL, events=["lead.created"]).pk
    webhook = Webhook.objects.values().get()
    path = f"/public/webhooks/{pk}"
    asked = [
        n8n.get(path),
        n8n.patch(path, {"url": "https://thief.example.com/"}),
        n8n.patch(path, {"url": "https://thief.example.com/"}, If_Match="*"),
        n8n.request("DELETE", path),
        n8n.request("DELETE", path, headers={"If-Match": "*"}),
        n8n.post(f"{path}/test", {}),
        n8n.get(f"{path}/deliveries"),
        n8n.post(f"{path}/replay", {"failed": True}),
    ]
    nowhere = n8n.get("/public/webhooks/999999")
    for answer in asked:
        assert answer.status_code == 404
        assert answer.json() | {"request_id": ""} == nowhere.json() | {"request_id": ""}
    assert n8n.get("/public/webhooks").json()["results"] == []
    assert Webhook.objects.values().get() == webhook


# ── Secrets ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_generated_secret_is_answered_once_and_is_nowhere_in_the_clear(n8n, caplog):
    webhook = subscribed(n8n, secret="generate")
    secret = webhook.pop("secret")
    assert secret.startswith("whsec_")
    assert secrets.decrypt(Webhook.objects.get().secret) == secret
    assert n8n.get(f"/public/webhooks/{webhook['id']}").json() == webhook
    assert "secret" not in n8n.get("/public/webhooks").json()["results"][0]
    written = [*Webhook.objects.values(), *AuditEntry.objects.values()]
    assert secret not in json.dumps(written, default=str) + caplog.text


def test_a_repeated_request_is_answered_with_the_secret_that_lies_encrypted(n8n, settings):
    first = n8n.post("/public/webhooks", NEW | {"secret": "generate"}, Idempotency_Key="once")
    secret = first.json()["secret"]
    record = IdempotencyRecord.objects.get()
    assert record.sealed
    assert secret.encode() not in bytes(record.body)
    again = n8n.post("/public/webhooks", NEW | {"secret": "generate"}, Idempotency_Key="once")
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert Webhook.objects.count() == 1

    new = "8HAk1ZJr6bxbNv0-7tkVDMsw5X6TAIvrYy5dmfe2Ky8="
    settings.CALLIYO_FIELD_KEYS = [new, *settings.CALLIYO_FIELD_KEYS]
    assert reencrypt_secrets().changed == 2  # the webhook's, and the kept answer
    settings.CALLIYO_FIELD_KEYS = [new]
    again = n8n.post("/public/webhooks", NEW | {"secret": "generate"}, Idempotency_Key="once")
    assert again.content == first.content
    settings.CALLIYO_FIELD_KEYS = ["ZmRmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Q="]
    lost = n8n.post("/public/webhooks", NEW | {"secret": "generate"}, Idempotency_Key="once")
    assert (lost.status_code, lost.json()["code"]) == (409, "answer_unreadable")


def test_other_answers_are_kept_as_they_are(client_with):
    tags = client_with("tags:read", "tags:write")
    tags.post("/public/tags", {"name": "hot"}, Idempotency_Key="once")
    record = IdempotencyRecord.objects.get()
    assert not record.sealed
    assert json.loads(bytes(record.body))["name"] == "hot"


def test_a_new_secret_signs_beside_the_old_one_for_as_long_as_was_said(n8n):
    webhook = subscribed(n8n, secret="sixteen letters!")
    path = f"/public/webhooks/{webhook['id']}"
    rotated = n8n.patch(path, {"secret": "generate", "secret_overlap_seconds": 3600}).json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["previous_secret_until"]
    [earlier] = Webhook.objects.get().previous_secrets
    assert secrets.decrypt(earlier["secret"]) == "sixteen letters!"
    at_once = n8n.patch(path, {"secret": "seventeen letters", "secret_overlap_seconds": 0}).json()
    assert at_once["previous_secret_until"] is None
    assert "secret" not in at_once
    none = n8n.patch(path, {"secret": None}).json()
    assert not none["has_secret"]
    refused = n8n.patch(path, {"secret": None, "secret_overlap_seconds": 5})
    assert refused.json()["errors"][0]["field"] == "secret_overlap_seconds"


def test_headers_that_no_key_opens_are_told_as_such_and_may_be_replaced(n8n, settings):
    webhook = subscribed(n8n, headers={"X-Tenant": "7"}, secret="sixteen letters!")
    path = f"/public/webhooks/{webhook['id']}"
    settings.CALLIYO_FIELD_KEYS = ["ZmRmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Rmc2Q="]
    assert n8n.get(path).json()["headers"] is None
    test = n8n.post(f"{path}/test", {})
    assert (test.status_code, test.json()["code"]) == (409, "secret_undecryptable")
    assert n8n.patch(path, {"headers": {"X-Tenant": "(hidden)"}}).status_code == 409
    assert n8n.patch(path, {"headers": {"X-Tenant": "8"}}).json()["headers"] == {"X-Tenant": "(hidden)"}


# ── Test, deliveries, replay ────────────────────────────────────────────────────────────────────────────────


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
    for number, delivery in enumerate(Delivery.objects.order_by("id"), start=1):
        Delivery.objects.filter(pk=delivery.pk).update(sequence=number)
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
    queue = replay._queue

    def noting(*arguments):
        seen.append(connection.in_atomic_block)
        return queue(*arguments)

    monkeypatch.setattr(replay, "_queue", noting)
    answer = n8n.post(f"/public/webhooks/{webhook['id']}/replay", {"failed": True}, Idempotency_Key="one")
    assert (answer.status_code, answer.json()["queued"]) == (202, 5)
    assert seen == [False, False, False]
    again = n8n.post(f"/public/webhooks/{webhook['id']}/replay", {"failed": True}, Idempotency_Key="one")
    assert (again.json()["queued"], again["Idempotent-Replayed"]) == (5, "true")
    assert Delivery.objects.filter(cause="replay").count() == 5


def test_tests_and_replays_cost_ten_requests(client_with, receiver):
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


# ── The audit ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_change_is_audited_with_who_what_was_and_what_is(n8n):
    webhook = subscribed(n8n, secret="sixteen letters!", headers={"X-Tenant": "seven"})
    path = f"/public/webhooks/{webhook['id']}"
    n8n.patch(
        path,
        {"url": "https://other.example.com/secret-path", "events": ["note.added"], "ordering": "none",
         "skip_own": True, "rate_limit": 5, "headers": {"X-Other": "eight"}},
        X_Request_Id="ticket-7",
    )  # fmt: skip
    entry = AuditEntry.objects.first()
    assert (entry.action, entry.actor_type, entry.actor_id, entry.actor_name) == (
        "webhook.changed", "api_key", n8n.key.pk, "n8n",
    )  # fmt: skip
    assert entry.request_id == "ticket-7"
    assert entry.data == {
        "webhook_id": webhook["id"],
        "fields": ["events", "headers", "ordering", "rate_limit", "skip_own", "url"],
        "host": {"from": "hooks.example.com", "to": "other.example.com"},
        "events": {"from": ["lead.created"], "to": ["note.added"]},
        "headers": {"from": ["X-Tenant"], "to": ["X-Other"]},
        "ordering": {"from": "per_lead", "to": "none"},
        "skip_own": {"from": False, "to": True},
        "rate_limit": {"from": None, "to": 5},
    }
    n8n.patch(path, {"secret": "seventeen letters"})
    n8n.patch(path, {"secret": None})
    assert AuditEntry.objects.first().data["has_secret"] == {"from": True, "to": False}
    n8n.patch(path, {"active": False})
    n8n.patch(path, {"active": True})
    n8n.request("DELETE", path)
    entry = AuditEntry.objects.first()
    assert entry.data == {
        "webhook_id": webhook["id"], "host": "other.example.com", "events": ["note.added"], "has_secret": False,
        "headers": ["X-Other"], "ordering": "none", "skip_own": True, "rate_limit": 5,
    }  # fmt: skip
    actions = AuditEntry.objects.filter(action__startswith="webhook.").order_by("id")
    assert list(actions.values_list("action", flat=True)) == [
        "webhook.created", "webhook.changed", "webhook.secret_rotated", "webhook.changed", "webhook.turned_off",
        "webhook.turned_on", "webhook.deleted",
    ]  # fmt: skip
    everything = json.dumps([*AuditEntry.objects.values()], default=str)
    assert not [word for word in ("letters", "seven", "eight", "secret-path") if word in everything]


def test_a_webhook_that_the_engine_turned_off_says_why(n8n):
    webhook = subscribed(n8n)
    turn_off(webhook=Webhook.objects.get(), reason=OffReason.GONE)
    told = n8n.get(f"/public/webhooks/{webhook['id']}").json()
    assert (told["health"], told["off_reason"]) == ("off", "gone")


def test_a_url_that_is_changed_starts_with_a_clean_slate(n8n):
    webhook = subscribed(n8n)
    EndpointState.objects.update(health="down")
    change_webhook(webhook=Webhook.objects.get(), url="https://other.example.com/")
    assert n8n.get(f"/public/webhooks/{webhook['id']}").json()["health"] == "healthy"
