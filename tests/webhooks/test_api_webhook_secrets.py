"""Secrets and headers of a webhook through the API: answered once, encrypted at rest, rotated."""

import json

from apikeys.models import AuditEntry, IdempotencyRecord
from tests.webhooks.subscribing import NEW, subscribed
from webhooks import secrets
from webhooks.models import Webhook
from webhooks.reencryption import reencrypt_secrets


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
