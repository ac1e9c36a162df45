"""The audit at the foot of the tab: every change in words, newest first, older ones by keyset."""

import re

from apikeys.models import AuditEntry
from apikeys.operations import (
    activate_key,
    deactivate_key,
    delete_key,
    regenerate_token,
    rename_key,
    set_scopes,
)
from tests.calliyo.conftest import TAB
from webhooks.operations import (
    change_webhook,
    delete_webhook,
    reveal_secret,
    rotate_secret,
    subscribe,
    turn_off,
    turn_on,
)


def told(page):
    return re.findall(r'<td role="cell" class="did">(.*?)</td>', page)


def test_every_change_is_told_in_words(desk, key_with):
    key = key_with("leads:read", "tags:read")
    set_scopes(key=key, scopes=["leads:read", "notes:read", "calls:read"])
    rename_key(key=key, name="Zoho live")
    prefix = regenerate_token(key=key).key.prefix
    deactivate_key(key=key)
    activate_key(key=key)
    hook = subscribe(
        api_key=key, url="https://crm.example/secret-path", events=["lead.created"], secret="generate"
    )
    change_webhook(webhook=hook, events=["note.added"])
    rotate_secret(webhook=hook)
    hook.refresh_from_db()
    reveal_secret(hook)
    turn_off(webhook=hook)
    turn_on(webhook=hook)
    delete_webhook(webhook=hook)
    delete_key(key=key)
    page = desk.see()
    assert told(page) == [
        "deleted the key",
        "deleted the webhook to crm.example",
        "turned a webhook on",
        "turned a webhook off",
        "looked at the secret of a webhook",
        "gave a webhook a new secret",
        "changed a webhook: events",
        "added a webhook to crm.example",
        "activated the key",
        "deactivated the key",
        f"regenerated the token, now {prefix}…",
        "renamed the key, before “Zoho production”",
        "changed what the key can do: added Notes read and Call history read; removed Tags read",
        "created the key: Leads read, Tags read",
    ]
    assert "secret-path" not in page


def test_who_did_it_is_named_and_the_exact_time_is_on_hover(desk):
    desk.create("Zoho production")
    page = desk.see()
    row = re.search(r'<section class="audit".*?<tbody.*?<tr role="row">(.*?)</tr>', page, re.DOTALL)[1]
    assert "Priya Nair" in row and "Zoho production" in row
    assert re.search(r'<time datetime="[^"]+" title="\d+ \w+ \d{4}, [\d:]+ [^"]+">just now</time>', row)


def test_older_entries_come_page_by_page_and_each_once(desk, key_with, django_assert_max_num_queries):
    key = key_with()
    for number in range(50):
        AuditEntry.objects.create(
            api_key_id=key.pk, api_key_name=f"Key {number}", action="api_key.activated", actor_name="Asha"
        )
    seen, address = [], TAB
    for _ in range(5):
        with django_assert_max_num_queries(8):
            page = desk.see(address)
        seen += re.findall(r'<td role="cell" class="of"><bdi>(.*?)</bdi>', page)
        older = re.search(r'href="([^"]+before=\d+)#audit"', page)
        if not older:
            break
        address = older[1]
    assert seen == [f"Key {number}" for number in reversed(range(50))] + ["Zoho production"]
    assert "Newest" in page


def test_an_entry_that_is_newer_than_the_words_is_shown_by_its_name(desk, key_with):
    key = key_with()
    AuditEntry.objects.create(api_key_id=key.pk, api_key_name="<b>", action="api_key.polished")
    page = desk.client.get(TAB).content.decode()
    assert "api_key.polished" in page
    assert "<bdi>&lt;b&gt;</bdi>" in page


def test_odd_places_in_the_audit_show_the_tab(desk, key_with):
    key_with()
    for before in ("0", "-1", "x", "9" * 18, "9" * 40, "%00"):
        assert "Create API Key" in desk.see(f"{TAB}&before={before}")
