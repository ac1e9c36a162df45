"""`/public/webhooks`: a key subscribes, changes and ends what it made itself, and nothing else."""

import json

import pytest

from apikeys.models import AuditEntry
from apikeys.operations import set_limits
from calliyo.actor import Actor, ActorType, acting_as
from tests.webhooks.engines import new_lead
from tests.webhooks.subscribing import NEW, URL, subscribed
from webhooks import secrets
from webhooks.models import Delivery, EndpointState, OffReason, Webhook
from webhooks.operations import change_webhook, delete_webhook, subscribe, turn_off

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
    assert n8n.get("/public/webhooks", {"search": "/2"}).json()["results"] == [made[2]]
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
