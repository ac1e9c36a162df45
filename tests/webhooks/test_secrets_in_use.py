"""Secrets and headers at work: sent, signed with, hidden in logs, and kept through a change of field keys."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django import Settings

from calliyo import encryption
from tests.processes import Receiver, wait_until
from tests.webhooks.engines import new_lead, new_webhook, running_engine, states
from webhooks import secrets
from webhooks.delivery.clock import database_now
from webhooks.delivery.target import HIDDEN, target_of
from webhooks.models import Attempt, Delivery, EndpointState, Webhook
from webhooks.operations import change_webhook, reveal_secret, rotate_secret, run_test_event
from webhooks.reencryption import Reencrypted, reencrypt_secrets
from webhooks.signing import calliyo_signature_holds

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
MINE = {"Authorization": "Bearer of theirs", "X-Tenant": "acme 7"}


def command(*options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("reencrypt_secrets", "--json", *options, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def stored(webhook: Webhook) -> tuple[str, ...]:
    webhook.refresh_from_db()
    return webhook.secret, webhook.headers, *(each["secret"] for each in webhook.previous_secrets)


def opened_by(key: str, *values: str) -> bool:
    return all(Fernet(key).decrypt(value.encode()) for value in values)


def test_a_persons_headers_are_sent_along_encrypted_at_rest_and_hidden_in_every_log(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook = new_webhook(receiver.url, secret="generate", headers=MINE)
    assert "theirs" not in webhook.headers and "acme" not in webhook.headers
    new_lead()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        [request] = receiver.wait_for(1)
        wait_until(Attempt.objects.exists)
    assert request.headers["authorization"] == "Bearer of theirs"
    assert request.headers["x-tenant"] == "acme 7"
    attempt = Attempt.objects.get()
    assert {name.lower(): value for name, value in attempt.request_headers.items()} == {
        **request.headers, "authorization": HIDDEN, "x-tenant": HIDDEN
    }  # fmt: skip
    sample = run_test_event(webhook=webhook)
    assert sample.headers["Authorization"] == HIDDEN
    assert receiver.requests[-1].headers["authorization"] == "Bearer of theirs"
    assert "theirs" not in caplog.text and "acme" not in caplog.text
    target = target_of(webhook, database_now())
    assert "theirs" not in repr(target) and "whsec_" not in repr(target)


def test_headers_change_and_go() -> None:
    webhook = new_webhook("http://127.0.0.1:9/", headers=MINE)
    changed = change_webhook(webhook=webhook, headers={"X-Other": ""})
    assert target_of(changed, database_now()).headers == {"X-Other": ""}
    assert change_webhook(webhook=webhook, headers={}).headers == ""
    assert change_webhook(webhook=webhook, headers=None).headers == ""


def test_both_secrets_sign_a_body_while_a_rotation_overlaps(receiver: Receiver) -> None:
    webhook = new_webhook(receiver.url, secret="the first secret")
    rotate_secret(webhook=webhook, secret="the second secret")
    webhook.refresh_from_db()
    run_test_event(webhook=webhook)
    [request] = receiver.requests
    signature, now = request.headers["x-calliyo-signature"], int(request.headers["webhook-timestamp"])
    for secret in ("the first secret", "the second secret"):
        assert calliyo_signature_holds(signature, secret=secret, body=request.body, now=now)
    assert signature.count("v1=") == 2 and request.headers["webhook-signature"].count("v1,") == 2
    rotate_secret(webhook=webhook, secret="the third secret!")
    webhook.refresh_from_db()
    run_test_event(webhook=webhook)
    assert receiver.requests[-1].headers["x-calliyo-signature"].count("v1=") == 3


def test_field_keys_change_while_everything_runs_and_nothing_goes_unsigned(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.delivery.lease.HOLD_SECONDS", 0.2)
    monkeypatch.setattr("webhooks.delivery.engine.SWEEP_SECONDS", 0.2)
    settings.CALLIYO_FIELD_KEYS = [OLD]
    webhook = new_webhook(receiver.url, secret="generate", headers=MINE)
    secret = reveal_secret(webhook)
    assert secret
    with running_engine() as engine:

        def sent(number: int) -> None:
            new_lead(number)
            engine.poke([webhook.pk])
            receiver.wait_for(number)

        sent(1)
        settings.CALLIYO_FIELD_KEYS = [NEW, OLD]
        sent(2)
        assert command("--dry-run")["changed"] == 2 and opened_by(OLD, webhook.secret)
        assert command() == {
            "checked": 2,
            "changed": 2,
            "undecryptable_webhooks": [],
            "undecryptable_users": [],
            "dry_run": False,
        }
        sent(3)
        settings.CALLIYO_FIELD_KEYS = [NEW]
        sent(4)
        settings.CALLIYO_FIELD_KEYS = [OTHER]  # the right one is lost
        new_lead(5)
        engine.poke([webhook.pk])
        wait_until(lambda: "can't be decrypted" in Delivery.objects.latest("id").last_error)
        assert len(receiver.requests) == 4
        assert states(webhook)[-1] == "waiting" and Delivery.objects.latest("id").attempts == 0
        settings.CALLIYO_FIELD_KEYS = [OTHER, NEW]  # and found again: what waited goes by itself
        receiver.wait_for(5)
    for request in receiver.requests:
        assert calliyo_signature_holds(
            request.headers["x-calliyo-signature"],
            secret=secret,
            body=request.body,
            now=int(request.headers["webhook-timestamp"]),
        )
        assert request.headers["x-tenant"] == "acme 7"


def test_every_value_moves_to_the_newest_key_once_and_a_second_run_has_nothing_to_do(
    settings: Settings,
) -> None:
    settings.CALLIYO_FIELD_KEYS = [OLD]
    webhook = new_webhook("http://127.0.0.1:9/", secret="generate", headers=MINE)
    for _ in range(2):
        webhook = rotate_secret(webhook=webhook)
    without = new_webhook("http://127.0.0.1:9/", key=webhook.api_key)
    before, version = stored(webhook), webhook.version
    settings.CALLIYO_FIELD_KEYS = [NEW, OLD]
    assert reencrypt_secrets(dry_run=True) == Reencrypted(checked=4, changed=4, undecryptable=())
    assert stored(webhook) == before
    assert reencrypt_secrets() == Reencrypted(checked=4, changed=4, undecryptable=())
    assert opened_by(NEW, *stored(webhook)) and webhook.version == version
    assert reencrypt_secrets() == Reencrypted(checked=4, changed=0, undecryptable=())
    assert stored(without) == ("", "")


def test_what_no_key_opens_is_told_and_left(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.CALLIYO_FIELD_KEYS = [OLD]
    lost = new_webhook("http://127.0.0.1:9/", secret="generate", headers=MINE)
    settings.CALLIYO_FIELD_KEYS = [OTHER]
    kept = new_webhook("http://127.0.0.1:9/", key=lost.api_key, secret="generate")
    before = stored(lost)
    settings.CALLIYO_FIELD_KEYS = [NEW, OTHER]
    call_command("reencrypt_secrets")
    said = capsys.readouterr().out
    assert "1 of 3 values were encrypted anew" in said and f"need a new secret: {lost.pk}." in said
    assert stored(lost) == before and opened_by(NEW, stored(kept)[0])


def test_what_is_rotated_meanwhile_is_not_overwritten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CALLIYO_FIELD_KEYS = [OLD]
    webhook = new_webhook("http://127.0.0.1:9/", secret="generate")
    settings.CALLIYO_FIELD_KEYS = [NEW, OLD]

    def meanwhile(value: str) -> str | None:
        change_webhook(webhook=webhook, secret="typed in this moment")
        return encryption.under_newest_key(value)

    monkeypatch.setattr("webhooks.reencryption.under_newest_key", meanwhile)
    assert reencrypt_secrets().changed == 0
    webhook.refresh_from_db()
    assert reveal_secret(webhook) == "typed in this moment"


def test_a_test_event_is_not_sent_unsigned_either(receiver: Receiver) -> None:
    webhook = new_webhook(receiver.url, secret="generate")
    webhook.secret = "damaged"
    with pytest.raises(secrets.UndecryptableSecret):
        run_test_event(webhook=webhook)
    assert receiver.requests == []


def test_headers_that_no_key_opens_hold_the_webhook_and_say_so(receiver: Receiver) -> None:
    webhook = new_webhook(receiver.url, headers=MINE)
    Webhook.objects.update(headers="damaged")
    new_lead()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: "The headers can't be decrypted" in Delivery.objects.get().last_error)
        assert receiver.requests == [] and states(webhook) == ["waiting"]
        change_webhook(webhook=webhook, headers={"X-Mine": "new"})
        assert EndpointState.objects.get().paused_until is None
        engine.poke([webhook.pk])
        [request] = receiver.wait_for(1)
    assert request.headers["x-mine"] == "new"
