"""Signatures: against fixed vectors, and against the `standardwebhooks` package as the receiver."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from webhooks.secrets import generate_secret
from webhooks.signing import (
    calliyo_signature,
    calliyo_signature_holds,
    signature_headers,
    standard_key,
    standard_signature,
    standard_signature_holds,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
typed_secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=16, max_size=60
).filter(lambda text: not text.startswith("whsec_"))


def test_standard_signature_is_the_one_of_the_standard_webhooks_specification() -> None:
    signature = standard_signature(
        [SECRET], message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=BODY
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_calliyo_signature_is_keyed_by_the_secret_as_shown() -> None:
    assert calliyo_signature([SECRET], timestamp=1614265330, body=BODY) == (
        "t=1614265330,v1=2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964"
    )


def test_each_secret_of_a_rotation_signs() -> None:
    headers = signature_headers(
        [SECRET, "another secret, typed"], message_id="evt_1", timestamp=7, body=b"{}"
    )
    time_part, first, second = headers["X-Calliyo-Signature"].split(",")
    assert time_part == "t=7"
    assert first.startswith("v1=") and second.startswith("v1=") and first != second
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_without_a_secret_nothing_is_signed() -> None:
    assert signature_headers([], message_id="evt_1", timestamp=7, body=b"{}") == {}


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_not base64 at all!", "whsec_a", "whsec_ab-_ab-_ab-_ab-_"]
)
def test_a_whsec_secret_that_is_not_base64_has_no_key(secret: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        standard_key(secret)


def test_missing_padding_is_allowed_as_in_the_published_verifiers() -> None:
    assert (
        standard_key("whsec_" + base64.b64encode(b"seventeen bytes!!").decode().rstrip("="))
        == b"seventeen bytes!!"
    )


@given(
    body=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=200), rotated=st.booleans()
)
def test_the_standardwebhooks_package_accepts_what_a_generated_secret_signed(
    body: str, rotated: bool
) -> None:
    secret, older = generate_secret(), generate_secret()
    now = int(time.time())
    secrets = [secret, older] if rotated else [secret]
    headers = signature_headers(secrets, message_id="evt_1", timestamp=now, body=body.encode())
    headers |= {"webhook-id": "evt_1", "webhook-timestamp": str(now)}
    for each in secrets:
        Webhook(each).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + "x", headers, json_parse=False)


@given(secret=typed_secrets, body=st.binary(max_size=100))
def test_the_standardwebhooks_package_accepts_what_a_typed_secret_signed(secret: str, body: bytes) -> None:
    now = int(time.time())
    headers = signature_headers([secret], message_id="evt_ü", timestamp=now, body=b"{}")
    headers |= {"webhook-id": "evt_ü", "webhook-timestamp": str(now)}
    Webhook(secret.encode()).verify("{}", headers)


@given(secret=typed_secrets, body=st.binary(max_size=100), now=st.integers(0, 2**33))
def test_our_own_check_accepts_its_own_and_nothing_changed(secret: str, body: bytes, now: int) -> None:
    header = calliyo_signature([generate_secret(), secret], timestamp=now, body=body)
    assert calliyo_signature_holds(header, secret=secret, body=body, now=now)
    assert not calliyo_signature_holds(header, secret=secret, body=body + b"x", now=now)
    assert not calliyo_signature_holds(header, secret=secret + "x", body=body, now=now)
    assert not calliyo_signature_holds(header, secret=secret, body=body, now=now + 301)
    assert not calliyo_signature_holds(
        header.replace(f"t={now}", f"t={now + 1}"), secret=secret, body=body, now=now
    )
    headers = signature_headers([secret], message_id="evt_1", timestamp=now, body=body)
    headers |= {"webhook-id": "evt_1", "webhook-timestamp": str(now)}
    assert standard_signature_holds(headers, secret=secret, body=body, now=now)
    assert not standard_signature_holds(headers | {"webhook-id": "evt_2"}, secret=secret, body=body, now=now)


@pytest.mark.parametrize(
    "header",
    ["", "v1=ab", "t=,v1=ab", "t=x,v1=ab", "t=1,t=2,v1=ab", "t=1", "t=²,v1=ab", "é", f"t={'9' * 5000},v1=ab"],
)
def test_a_broken_signature_header_holds_nothing(header: str) -> None:
    assert not calliyo_signature_holds(header, secret=SECRET, body=BODY, now=1)


@pytest.mark.parametrize("time", ["", "x", "²", "9" * 5000])
def test_a_broken_time_of_standard_webhooks_holds_nothing(time: str) -> None:
    headers = {"webhook-id": "evt_1", "webhook-timestamp": time, "webhook-signature": "v1,ab"}
    assert not standard_signature_holds(headers, secret=SECRET, body=BODY, now=1)
