"""Numbers in the addresses and forms of the Settings: what is none opens nothing, and breaks nothing."""

import pytest

from tests.calliyo.conftest import TAB
from tests.deliveries import new_delivery
from webhooks.operations import subscribe

NO_NUMBERS = ["9" * 5000, str(2**63), "²", "1\x00"]


@pytest.fixture
def webhook(key_with):
    return subscribe(api_key=key_with("leads:read"), url="https://zoho.example/hook", events=["lead.created"])


@pytest.fixture
def places(webhook):
    """Addresses with `…` where a number belongs."""
    panel = f"{TAB}&key={webhook.api_key_id}&panel=webhooks"
    log = f"{panel}&webhook={webhook.pk}&do=deliveries"
    delivery = new_delivery(webhook)
    return [
        f"{TAB}&key=…",
        f"{TAB}&at=…",
        f"{TAB}&page=…",
        f"{TAB}&key={webhook.api_key_id}&panel=usage&before=…",
        f"{TAB}&key={webhook.api_key_id}&panel=audit&before=…",
        f"{panel}&webhook=…",
        f"{panel}&webhook=…&do=delete",
        f"{panel}&webhook=…&do=deliveries",
        f"{panel}&webhook=…&do=resend",
        f"{log}&before=…",
        f"{log}&delivery=…",
        f"{log}&lead=…",
        f"{log}&delivery={delivery.pk}&until=…",
        f"/settings/api/webhooks/{webhook.pk}/deliveries?before=…",
        "/settings/api/webhooks/…/deliveries",
    ]


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: repr(text[:20]))
def test_what_is_no_number_opens_nothing(desk, places, text):
    for place in places:
        address, _, query = place.partition("?")
        sent = [pair.partition("=")[::2] for pair in query.split("&") if pair]
        response = desk.client.get(
            address.replace("…", text.strip("\x00")), {name: value.replace("…", text) for name, value in sent}
        )
        assert response.status_code < 500, place


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: repr(text[:20]))
def test_a_form_with_what_is_no_number_is_refused(desk, webhook, text):
    key, base = f"/settings/api/keys/{webhook.api_key_id}", f"/settings/api/webhooks/{webhook.pk}"
    forms = {
        f"{key}/regenerate": {"form_number": desk.number(), "version": text, "remove": text},
        f"{key}/scopes": {"version": text, "scopes": "leads:read", "expires_in": text, "rate_limit": text},
        f"{key}/rename": {"version": text, "name": "Other"},
        base: {"version": text, "url": "https://zoho.example/other", "rate_limit": text},
        f"{base}/resend": {"delivery": text},
        f"{base}/resend-failed": {"since": "2026-11-25T00:00:00+00:00", "up_to": text},
        f"{base}/missed": {"up_to": text},
    }
    for target, fields in forms.items():
        assert desk.client.post(target, fields).status_code < 500, target
    webhook.refresh_from_db()
    assert webhook.url == "https://zoho.example/hook"
