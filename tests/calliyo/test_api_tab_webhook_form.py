"""The form of a webhook: limits and headers, scopes ticked in the same save, two admins who bring both changes in."""

import re
from html import unescape

import pytest

from apikeys.models import APIKey, AuditEntry
from apikeys.operations import set_scopes
from tests.calliyo.conftest import TAB, text_of
from webhooks.delivery.target import opened_headers
from webhooks.models import Webhook
from webhooks.operations import change_webhook, rotate_secret, subscribe, turn_off

URL = "https://flow.zoho.example/calliyo"


@pytest.fixture
def key(key_with):
    return key_with("leads:read", "leads:write", "calls:read")


@pytest.fixture
def webhook(key):
    headers = {"Authorization": "Bearer of-theirs", "X-Source": "calliyo"}
    return subscribe(
        api_key=key, url=URL, events=["lead.created"], headers=headers, rate_limit=60, ordering="strict"
    )


def panel(key, more=""):
    return f"{TAB}&key={key.pk}&panel=webhooks{more}"


def hidden_fields(page):
    """What the form carries unseen."""
    raw = page[page.index("data-guard") :]
    found = {
        name: re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', raw)
        for name in ("form_number", "version", "base")
    }
    return {name: unescape(match[1]) for name, match in found.items() if match}


def open_form(desk, webhook):
    return hidden_fields(desk.client.get(panel(webhook.api_key, f"&webhook={webhook.pk}")).content.decode())


def send(desk, webhook, hidden, **fields):
    form = {
        "url": URL,
        "events": ["lead.created"],
        "secret_choice": "none",
        "ordering": "strict",
        "rate_limit": "60",
        "headers": "Authorization: (hidden)\nX-Source: (hidden)",
    }
    return desk.send(f"webhooks/{webhook.pk}", **hidden, **form | fields)


def add(desk, key, **fields):
    form = {"url": URL, "events": ["lead.created"], "secret_choice": "none", "ordering": "per_lead", **fields}
    number = desk.number(panel(key, "&webhook=new"))
    return desk.send(f"keys/{key.pk}/webhooks", form_number=number, **form)


def test_limit_and_headers_are_set_with_the_webhook_and_told_on_its_card(desk, key):
    add(desk, key, rate_limit="120", headers=" X-Source: calliyo \n\nAuthorization: Bearer of-theirs\n")
    webhook = Webhook.objects.get()
    assert webhook.rate_limit == 120
    assert opened_headers(webhook.headers) == {"X-Source": "calliyo", "Authorization": "Bearer of-theirs"}
    page = desk.see(panel(key))
    assert "at most 120 a minute" in page
    assert "sends X-Source, Authorization along" in page
    assert "of-theirs" not in page


def test_saved_values_are_hidden_and_stay_while_the_form_says_so(desk, webhook):
    page = desk.see(panel(webhook.api_key, f"&webhook={webhook.pk}"))
    assert "Authorization: (hidden)\nX-Source: (hidden)</textarea>" in page
    assert "of-theirs" not in page
    send(desk, webhook, open_form(desk, webhook), url=f"{URL}/2")
    send(desk, webhook, open_form(desk, webhook), headers="X-Source: crm\nAuthorization: (hidden)")
    webhook.refresh_from_db()
    assert opened_headers(webhook.headers) == {"X-Source": "crm", "Authorization": "Bearer of-theirs"}
    send(desk, webhook, open_form(desk, webhook), headers="", rate_limit="")
    webhook.refresh_from_db()
    assert (webhook.headers, webhook.rate_limit) == ("", None)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"headers": "no colon"}, "headers", "“no colon” is no header: write it as in X-Source: calliyo."),
        ({"headers": "Host: evil.example"}, "headers", "The header Host is set by Calliyo."),
        ({"headers": "X-A: 1\nx-a: 2"}, "headers", "x-a is there twice."),
        ({"headers": "X-New: (hidden)"}, "headers", "Type the value of X-New."),
        ({"headers": "\n".join(f"X-{n}: 1" for n in range(11))}, "headers", "At most 10 headers"),
        ({"headers": "X-A: caf\u00e9"}, "headers", "plain ASCII"),
        ({"rate_limit": "0"}, "rate_limit", "Write a number from 1 to 1,000,000, or nothing."),
        ({"rate_limit": "many"}, "rate_limit", "Write a number from 1"),
        ({"rate_limit": "9" * 30}, "rate_limit", "Write a number from 1"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field_and_nothing_typed_is_lost(
    desk, webhook, fields, field, reason
):
    before = Webhook.objects.values().get()
    page = text_of(send(desk, webhook, open_form(desk, webhook), url=f"{URL}/typed", **fields))
    assert re.search(rf'id="id_{field}_error"><li>[^<]*{re.escape(reason)}', page)
    assert f'value="{URL}/typed"' in page
    assert '<details class="more" open>' in page
    assert Webhook.objects.values().get() == before


def test_a_form_that_was_held_by_a_login_keeps_the_headers(desk, webhook):
    hidden = open_form(desk, webhook)
    form = {"url": f"{URL}/2", "events": ["lead.created"], "secret_choice": "none", "ordering": "strict"}
    desk.send(f"webhooks/{webhook.pk}", **hidden, **form)
    webhook.refresh_from_db()
    assert webhook.url == f"{URL}/2"
    assert len(opened_headers(webhook.headers)) == 2


def test_a_missing_scope_is_offered_and_ticked_in_the_same_save(desk, key):
    page = desk.see(panel(key, "&webhook=new"))
    assert "Tick the scope Notes read too: the key can then see notes." in page
    assert page.count('name="grant"') == 2  # notes and follow-ups, whose two events share one offer
    response = add(desk, key, events=["lead.created", "note.added"], grant=["notes:read", "follow-ups:read"])
    page = desk.see(response["Location"])
    assert "The key has the scope Notes read now." in page
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "leads:write", "notes:read", "calls:read"]
    assert Webhook.objects.get().events == ["lead.created", "note.added"]
    assert AuditEntry.objects.filter(action__contains="scopes").count() == 1


def test_several_scopes_are_told_in_one_sentence(desk, key):
    grant = ["notes:read", "follow-ups:read"]
    response = add(desk, key, events=["note.added", "followup.created"], grant=grant)
    assert "The key has the scopes Follow-ups read and Notes read now." in desk.see(response["Location"])


def test_a_scope_is_given_when_a_webhook_is_changed_and_only_then(desk, webhook):
    key = webhook.api_key
    refused = send(desk, webhook, open_form(desk, webhook), events=["note.added"])
    assert "note.added needs the scope Notes read." in text_of(refused)
    hidden = open_form(desk, webhook)
    refused = send(desk, webhook, hidden, events=["note.added"], grant=["notes:read"], url="http://10.0.0.1/")
    assert 'value="notes:read" checked' in text_of(refused)
    key.refresh_from_db()
    assert "notes:read" not in key.scopes
    send(desk, webhook, hidden, events=["note.added"], grant=["notes:read"])
    key.refresh_from_db()
    webhook.refresh_from_db()
    assert "notes:read" in key.scopes
    assert webhook.events == ["note.added"]


@pytest.mark.parametrize("grant", ["leads:write", "users:read", "no:such"])
def test_nothing_but_what_an_event_needs_can_be_given(desk, key, grant):
    set_scopes(key=key, scopes=["leads:read"])
    add(desk, key, grant=[grant])
    key.refresh_from_db()
    assert key.scopes == ["leads:read"]


def test_a_key_for_web_pages_gets_no_scope_by_the_way(desk, key):
    set_scopes(key=key, scopes=["leads:write"])
    APIKey.objects.filter(pk=key.pk).update(allowed_origins=["https://example.com"])
    page = text_of(add(desk, key, grant=["leads:read"]))
    assert "errorlist" in page
    key.refresh_from_db()
    assert key.scopes == ["leads:write"]
    assert not Webhook.objects.exists()


def test_what_each_of_two_admins_changed_stays(desk, webhook):
    mine = open_form(desk, webhook)
    change_webhook(
        webhook=webhook, events=["call.completed", "lead.created"], rate_limit=30, headers={"X-Env": "live"}
    )
    page = text_of(send(desk, webhook, mine, url=f"{URL}/mine"))
    assert "Not saved yet: this webhook was changed since you opened it (Calliyo, just now)." in page
    assert "Events were ticked: call.completed." in page
    assert "The rate limit is now 30 a minute." in page
    assert "Its headers were changed." in page
    assert "What you entered replaces that" not in page
    assert 'value="call.completed" checked' in page
    assert f'value="{URL}/mine"' in page
    assert "X-Env: (hidden)</textarea>" in page
    webhook.refresh_from_db()
    assert webhook.url == URL
    send(
        desk,
        webhook,
        hidden_fields(page),
        url=f"{URL}/mine",
        events=["lead.created", "call.completed"],
        rate_limit="30",
        headers="X-Env: (hidden)",
    )
    webhook.refresh_from_db()
    assert (webhook.url, webhook.rate_limit) == (f"{URL}/mine", 30)
    assert webhook.events == ["lead.created", "call.completed"]
    assert opened_headers(webhook.headers) == {"X-Env": "live"}


def test_what_both_changed_is_told_and_the_second_decides_knowingly(desk, webhook):
    mine = open_form(desk, webhook)
    change_webhook(webhook=webhook, url=f"{URL}/theirs", skip_own=True)
    page = text_of(send(desk, webhook, mine, url=f"{URL}/mine", headers="X-Env: test"))
    assert f"The URL is now {URL}/theirs. What you entered replaces that if you save again." in page
    assert "It now skips the changes of its own key.<" in page
    assert f'value="{URL}/mine"' in page
    send(desk, webhook, hidden_fields(page), url=f"{URL}/mine", skip_own="on", headers="X-Env: test")
    webhook.refresh_from_db()
    assert (webhook.url, webhook.skip_own) == (f"{URL}/mine", True)
    assert opened_headers(webhook.headers) == {"X-Env": "test"}


def test_a_secret_and_a_switch_that_another_admin_touched_are_told(desk, webhook):
    mine = open_form(desk, webhook)
    rotate_secret(webhook=webhook)
    turn_off(webhook=webhook)
    page = text_of(send(desk, webhook, mine))
    assert "The secret was changed." in page
    assert "It was turned off." in page
    webhook.refresh_from_db()
    assert webhook.secret


def test_a_version_that_moved_without_a_change_asks_to_save_again(desk, webhook):
    mine = open_form(desk, webhook)
    Webhook.objects.update(version=9)
    page = text_of(send(desk, webhook, mine, url=f"{URL}/mine"))
    assert "Nothing that you see here has changed. Save again." in page
    send(desk, webhook, hidden_fields(page), url=f"{URL}/mine")
    webhook.refresh_from_db()
    assert webhook.url == f"{URL}/mine"


@pytest.mark.parametrize("base", ["", "x", "[]", '{"events": 7, "marks": 3}', "{" * 5000])
def test_a_form_that_tells_nothing_of_what_it_was_made_from_overwrites_nothing(desk, webhook, base):
    mine = open_form(desk, webhook) | {"base": base}
    change_webhook(webhook=webhook, url=f"{URL}/theirs")
    page = text_of(send(desk, webhook, mine, url=f"{URL}/mine"))
    assert f"The URL is now {URL}/theirs. What you entered replaces that if you save again." in page
    webhook.refresh_from_db()
    assert webhook.url == f"{URL}/theirs"


def test_an_earlier_secret_that_still_signs_is_told(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="generate")
    rotate_secret(webhook=webhook)
    assert "the secret before signs too for 24 h" in desk.see(panel(key))
