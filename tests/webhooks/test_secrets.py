"""Webhook secrets: what may be typed, and how they are kept."""

import base64

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from webhooks.secrets import (
    InvalidSecret,
    UndecryptableSecret,
    check_secret,
    decrypt,
    encrypt,
    generate_secret,
)


def test_a_generated_secret_is_whsec_and_32_bytes_and_passes_its_own_check() -> None:
    secret = generate_secret()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert secret != generate_secret()
    check_secret(secret)


@pytest.mark.parametrize("secret", ["sixteen letters!", "ünïcödé is allowed here", "x" * 255])
def test_typed_secrets_of_16_to_255_characters_pass(secret: str) -> None:
    check_secret(secret)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("fifteen letters", "at least 16"),
        ("", "at least 16"),
        ("x" * 256, "at most 255"),
        ("whsec_this is not base64", "base64"),
        ("whsec_ab-_ab-_ab-_ab-_", "base64"),
        ("with a line\nbreak in it", "control characters"),
        (" begins with a space", "space"),
    ],
)
def test_other_secrets_are_refused_with_the_reason(secret: str, reason: str) -> None:
    with pytest.raises(InvalidSecret, match=reason) as refusal:
        check_secret(secret)
    assert (refusal.value.code, refusal.value.field) == ("invalid_secret", "secret")


def test_what_is_stored_does_not_show_the_secret_and_comes_back(settings: Settings) -> None:
    settings.CALLIYO_FIELD_KEYS = [Fernet.generate_key().decode()]
    stored = encrypt("sixteen letters, ü")
    assert "sixteen" not in stored and stored.isascii()
    assert decrypt(stored) == "sixteen letters, ü"


def test_an_older_field_key_still_opens_and_a_new_secret_takes_the_newest(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CALLIYO_FIELD_KEYS = [old]
    stored = encrypt("kept under the old key")
    settings.CALLIYO_FIELD_KEYS = [new, old]
    assert decrypt(stored) == "kept under the old key"
    assert Fernet(new).decrypt(encrypt("kept under the new key").encode()) == b"kept under the new key"


@pytest.mark.parametrize("damaged", [False, True])
def test_a_secret_that_no_key_opens_is_its_own_error(settings: Settings, damaged: bool) -> None:
    settings.CALLIYO_FIELD_KEYS = [Fernet.generate_key().decode()]
    stored = encrypt("lost for good, alas")
    if not damaged:
        settings.CALLIYO_FIELD_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(UndecryptableSecret, match="CALLIYO_FIELD_KEYS"):
        decrypt(stored[:-4] + "xxxx" if damaged else stored)
