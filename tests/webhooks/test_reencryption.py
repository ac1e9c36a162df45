"""Field keys can be changed: everything comes under the newest one, and stays what it was."""

import json
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command

from tests.webhooks.engines import new_key, new_webhook
from webhooks import reencryption, secrets
from webhooks.models import Webhook
from webhooks.operations import reveal_secret, rotate_secret
from webhooks.reencryption import ENCRYPTED, Reencrypted, reencrypt_secrets

pytestmark = pytest.mark.django_db

OLD, NEW, FOREIGN = (Fernet.generate_key().decode() for _ in range(3))
URL = "https://hooks.example.com/in"


@pytest.fixture
def webhook(settings) -> Webhook:
    settings.CALLIYO_FIELD_KEYS = [OLD]
    made = new_webhook(URL, secret="a first secret of theirs", headers={"X-Api-Key": "theirs"})
    made = rotate_secret(webhook=made, secret="a second secret of theirs")
    new_webhook(URL, key=new_key("Unsigned"))
    settings.CALLIYO_FIELD_KEYS = [NEW, OLD]
    return made


def stored(webhook: Webhook) -> dict[str, Any]:
    return Webhook.objects.filter(pk=webhook.pk).values(*ENCRYPTED, "version", "updated_at")[0]


def test_every_secret_and_header_comes_under_the_newest_key(webhook, settings):
    before = stored(webhook)
    assert reencrypt_secrets() == Reencrypted(values=3, changed=3, undecryptable=[])
    settings.CALLIYO_FIELD_KEYS = [NEW]
    after = stored(webhook)
    assert {name: secrets.decrypt(after[name]) for name in ENCRYPTED} == {
        "secret": "a second secret of theirs",
        "previous_secret": "a first secret of theirs",
        "headers": '{"X-Api-Key":"theirs"}',
    }
    assert {name: after[name] for name in ("version", "updated_at")} == {
        name: before[name] for name in ("version", "updated_at")
    }
    webhook.refresh_from_db()
    assert reveal_secret(webhook) == "a second secret of theirs"


def test_what_is_under_it_already_stays_as_it_is(webhook):
    reencrypt_secrets()
    first = stored(webhook)
    assert reencrypt_secrets() == Reencrypted(values=3, changed=0, undecryptable=[])
    assert stored(webhook) == first


def test_a_dry_run_changes_nothing(webhook):
    before = stored(webhook)
    assert reencrypt_secrets(dry_run=True).changed == 3
    assert stored(webhook) == before


def test_what_no_key_opens_is_named_and_left(webhook, settings):
    lost = Fernet(FOREIGN).encrypt(b"whose key is gone").decode()
    Webhook.objects.filter(pk=webhook.pk).update(previous_secret=lost)
    assert reencrypt_secrets() == Reencrypted(values=3, changed=2, undecryptable=[webhook.pk])
    assert stored(webhook)["previous_secret"] == lost


def test_it_goes_in_batches(webhook, monkeypatch):
    monkeypatch.setattr(reencryption, "BATCH", 1)
    assert reencrypt_secrets().changed == 3


def test_the_command_tells_numbers_and_no_secret(webhook):
    out = StringIO()
    call_command("reencrypt_secrets", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"values": 3, "changed": 3, "undecryptable": [], "dry_run": True}
    Webhook.objects.filter(pk=webhook.pk).update(secret=Fernet(FOREIGN).encrypt(b"x").decode())
    out = StringIO()
    call_command("reencrypt_secrets", stdout=out)
    assert out.getvalue() == (
        "2 of 3 values encrypted under the newest key.\n"
        f"No key opens what these webhooks hold: {webhook.pk}. Give them new secrets.\n"
    )
