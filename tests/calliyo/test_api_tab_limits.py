"""Configure → Limits, rename and duplicate: each limit checked at its field, and saved with the ticks or not at all."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apikeys.models import APIKey, AuditEntry
from apikeys.operations import deactivate_key, rename_key, set_limits
from apikeys.tokens import digest
from tests.calliyo.conftest import TAB, text_of
from tests.calliyo.test_api_tab_keys import TOKEN, shown_token
from webhooks.models import Webhook
from webhooks.operations import reveal_secret, subscribe

NO_LIMITS = {"expires": "", "rate_limit": "", "allowed_addresses": "", "allowed_origins": ""}


def save(desk, key, *, scopes=None, version=None, **limits):
    kept = key.scopes if scopes is None else scopes
    fields = NO_LIMITS | limits | {"scopes": kept, "version": version or key.version}
    return desk.send(f"keys/{key.pk}/scopes", **fields)


def error_at(page, field):
    assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', page), field
    return re.search(rf'id="id_{field}_error"[^>]*>(.*?)</ul>', page, re.DOTALL)[1]


def test_the_limits_are_folded_and_told_in_a_line(desk, key_with):
    key = key_with("leads:read")
    page = desk.see(f"{TAB}&key={key.pk}")
    fold = re.search(r"<details[^>]*>\s*<summary>(.*?)</summary>", page, re.DOTALL)
    assert "600 requests a minute, from anywhere" in fold[1]
    assert "<details open" not in page and 'fold" open' not in page


def test_all_limits_are_saved_in_one_go_with_the_ticks(desk, key_with):
    key = key_with("leads:read")
    response = save(
        desk,
        key,
        scopes=["leads:write"],
        expires="date",
        expires_on="2031-01-31",
        rate_limit="1200",
        allowed_addresses="203.0.113.0/24\n2001:db8::1, 198.51.100.7",
        allowed_origins="https://www.example.com",
        manage_webhooks="on",
    )
    assert response["Location"] == f"{TAB}&key={key.pk}&panel=scopes"
    key.refresh_from_db()
    assert key.scopes == ["leads:write"]
    assert key.expires_at == datetime(2031, 1, 31, 18, 30, tzinfo=UTC)  # midnight in India
    assert key.rate_limit == 1200
    assert key.allowed_addresses == ["198.51.100.7/32", "2001:db8::1/128", "203.0.113.0/24"]
    assert key.allowed_origins == ["https://www.example.com"]
    assert key.manage_webhooks
    page = desk.see(f"{TAB}&key={key.pk}")
    told = "ends 31 Jan 2031, 1,200 requests a minute, from 3 networks, used in web pages, manages its own webhooks"
    assert told in page
    assert ">\n198.51.100.7/32\n2001:db8::1/128\n203.0.113.0/24</textarea>" in page


def test_limits_are_taken_away_again_and_scopes_widened_in_one_save(desk, key_with):
    key = key_with("leads:write")
    set_limits(
        key=key,
        rate_limit=5,
        allowed_addresses=["10.0.0.1"],
        allowed_origins=["https://a.example"],
        manage_webhooks=True,
    )
    key.refresh_from_db()
    save(desk, key, scopes=["leads:read", "leads:write"])
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "leads:write"]
    assert (key.rate_limit, key.allowed_addresses, key.allowed_origins, key.manage_webhooks) == (
        None,
        [],
        [],
        False,
    )


@pytest.mark.parametrize(
    ("field", "typed", "reason"),
    [
        ("rate_limit", "-1", "Write a number from 0 to 1,000,000, or nothing."),
        ("rate_limit", "1000001", "Write a number from 0 to 1,000,000"),
        ("rate_limit", "many", "Write a number from 0"),
        ("rate_limit", "9" * 400, "Write a number from 0"),
        ("allowed_addresses", "203.0.113.7/24", "is not an address or network"),
        ("allowed_addresses", "example.com", "is not an address or network"),
        ("allowed_addresses", "<b>", "is not an address or network"),
        ("allowed_addresses", "1.2.3.4\x00", "Null characters"),
        ("allowed_addresses", "1.1.1.1 " * 2000, "at most 5000 characters"),
        ("allowed_origins", "https://www.example.com/path", "is not an origin"),
        ("allowed_origins", "javascript:alert(1)", "is not an origin"),
        ("allowed_origins", "https://a.example", "untick everything but Leads write"),
        ("expires_on", "2020-01-01", "This day is over"),
        ("expires_on", "", "Choose the last day"),
    ],
)
def test_a_bad_limit_is_refused_at_its_field_and_nothing_is_saved(desk, key_with, field, typed, reason):
    key = key_with("leads:read")
    more = {"expires": "date"} if field == "expires_on" else {}
    response = save(desk, key, scopes=["leads:read", "tags:read"], **{field: typed}, **more)
    assert response.status_code == 200
    page = text_of(response)
    assert reason in error_at(page, field)
    assert 'fold" open' in page
    assert re.search(r'value="tags:read" checked', page)
    key.refresh_from_db()
    assert key.scopes == ["leads:read"] and key.version == 1


def test_the_fold_is_open_where_limits_were_typed_that_are_not_saved(desk, key_with):
    key = key_with("leads:read")
    rename_key(key=key, name="Theirs")
    assert 'fold" open' in text_of(save(desk, key, version=1, allowed_addresses="10.0.0.1"))
    assert 'fold" open' not in text_of(save(desk, key, version=1, scopes=["tags:read"]))


def test_an_end_that_is_past_or_within_a_day_stays_possible(desk, key_with):
    key = key_with("leads:read")
    now = timezone.now().replace(microsecond=0)
    for end in (now - timedelta(hours=3), now + timedelta(hours=3)):
        APIKey.objects.filter(pk=key.pk).update(expires_at=end)
        key.refresh_from_db()
        assert "As it is:" in desk.see(f"{TAB}&key={key.pk}")
        save(desk, key, scopes=["tags:read"], expires="keep")
        key.refresh_from_db()
        assert key.expires_at == end and key.scopes == ["tags:read"]
        save(desk, key, scopes=["leads:read"], expires="keep")
        key.refresh_from_db()


def test_who_comes_second_is_told_every_change_and_overwrites_none_unseen(desk, key_with):
    key = key_with("leads:read")
    set_limits(key=key, rate_limit=60, allowed_addresses=[], allowed_origins=[], manage_webhooks=True)
    rename_key(key=key, name="Zoho live")
    deactivate_key(key=key)
    response = save(desk, key, version=1, rate_limit="900")
    page = text_of(response)
    assert "was changed since you opened it" in page
    assert "changed the limits: requests a minute default → 60; manages its own webhooks no → yes" in page
    assert "renamed the key, before “Zoho production”" in page
    assert "deactivated the key" in page
    assert 'name="rate_limit" value="900"' in page
    key.refresh_from_db()
    assert key.rate_limit == 60 and key.manage_webhooks
    save(desk, key, version=re.search(r'name="version" value="(\d+)"', page)[1], rate_limit="900")
    key.refresh_from_db()
    assert key.rate_limit == 900 and not key.manage_webhooks


@pytest.mark.parametrize("version", ["", "0", "-1", "x", "9" * 30])
def test_a_version_of_ones_own_making_saves_nothing(desk, key_with, version):
    key = key_with("leads:read")
    response = desk.send(f"keys/{key.pk}/scopes", **NO_LIMITS, version=version, scopes=["tags:read"])
    assert response.status_code == 200
    key.refresh_from_db()
    assert key.scopes == ["leads:read"]


def test_rename_gives_another_name_and_comes_back_to_where_it_was_asked(desk, key_with):
    key = key_with("leads:read")
    page = desk.see(f"{TAB}&key={key.pk}&confirm=rename&panel=webhooks")
    assert 'value="Zoho production"' in page
    response = desk.send(f"keys/{key.pk}/rename", version=1, name=" Zoho live ", panel="webhooks")
    assert response["Location"] == f"{TAB}&key={key.pk}&panel=webhooks"
    assert "The key is now “Zoho live”." in desk.notices()
    assert AuditEntry.objects.first().action == "api_key.renamed"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "Give the key a name"),
        ("x" * 10_000, "at most 100 characters"),
        ("right\u202eto left", "printable"),
        ("internal LOOKER", "already an API key"),
    ],
)
def test_a_bad_new_name_is_refused_at_its_field_and_kept(desk, key_with, name, reason):
    key, _ = key_with(), key_with(name="Internal Looker")
    page = text_of(desk.send(f"keys/{key.pk}/rename", version=1, name=name))
    assert reason in error_at(page, "name")
    key.refresh_from_db()
    assert key.name == "Zoho production"


def test_a_rename_dialog_that_somebody_overtook_is_told(desk, key_with):
    key = key_with()
    rename_key(key=key, name="Theirs")
    page = text_of(desk.send(f"keys/{key.pk}/rename", version=1, name="Mine"))
    assert "somebody changed this key" in page
    assert 'value="Mine"' in page
    key.refresh_from_db()
    assert key.name == "Theirs"


def test_a_duplicate_has_the_same_configuration_and_a_token_of_its_own(desk, key_with):
    key = key_with("leads:write")
    set_limits(
        key=key,
        rate_limit=5,
        allowed_addresses=["10.0.0.1"],
        allowed_origins=["https://a.example"],
        manage_webhooks=True,
    )
    address = f"{TAB}&key={key.pk}&confirm=duplicate"
    page = desk.see(address)
    assert 'value="Zoho production 2"' in page
    assert "Can add leads without seeing any." in page
    number = desk.number(address)
    fields = {"name": "Zoho staging", "expires": "", "form_number": number}
    token = shown_token(desk.send(f"keys/{key.pk}/duplicate", **fields))
    copy = APIKey.objects.get(name="Zoho staging")
    assert copy.digest == digest(token) != key.digest
    for name in ("scopes", "rate_limit", "allowed_addresses", "allowed_origins", "manage_webhooks"):
        key.refresh_from_db()
        assert getattr(copy, name) == getattr(key, name)
    again = desk.send(f"keys/{key.pk}/duplicate", **fields | {"name": "Third"})
    assert again["Location"] == TAB
    assert APIKey.objects.count() == 2
    assert TOKEN.findall(desk.see()) == []


def test_webhooks_are_copied_when_ticked_off_and_with_their_secrets(desk, key_with):
    key = key_with("leads:read", "calls:read")
    subscribe(
        api_key=key,
        url="https://crm.example/hook",
        events=["lead.created", "call.completed"],
        secret="a secret that was typed",
        headers={"X-Team": "sales"},
        rate_limit=30,
        ordering="strict",
        skip_own=True,
    )
    address = f"{TAB}&key={key.pk}&confirm=duplicate"
    assert "Copy its webhook too" in desk.see(address)
    for name, ticked in (("With", {"webhooks": "on"}), ("Without", {})):
        fields = {"name": name, "expires": "", "form_number": desk.number(address)} | ticked
        shown_token(desk.send(f"keys/{key.pk}/duplicate", **fields))
    assert not Webhook.objects.filter(api_key__name="Without").exists()
    old, new = Webhook.objects.get(api_key=key), Webhook.objects.get(api_key__name="With")
    assert not new.active and new.off_reason == "by_hand" and old.active
    assert reveal_secret(new) == "a secret that was typed"
    for field in ("url", "events", "headers", "rate_limit", "ordering", "skip_own"):
        assert getattr(new, field) == getattr(old, field)


def test_a_copied_webhook_leaves_out_what_the_key_may_not_hear_of(desk, key_with):
    key = key_with("leads:read", "calls:read")
    subscribe(api_key=key, url="https://a.example/", events=["lead.created", "call.completed"])
    subscribe(api_key=key, url="https://b.example/", events=["call.completed"])
    APIKey.objects.filter(pk=key.pk).update(scopes=["leads:read"])
    number = desk.number(f"{TAB}&key={key.pk}&confirm=duplicate")
    shown_token(
        desk.send(f"keys/{key.pk}/duplicate", name="Copy", expires="", webhooks="on", form_number=number)
    )
    copied = Webhook.objects.filter(api_key__name="Copy").values_list("url", "events")
    assert list(copied) == [("https://a.example/", ["lead.created"])]


def test_a_duplicate_with_a_taken_name_makes_neither_key_nor_webhook(desk, key_with):
    key = key_with("leads:read")
    subscribe(api_key=key, url="https://a.example/", events=["lead.created"])
    number = desk.number(f"{TAB}&key={key.pk}&confirm=duplicate")
    page = text_of(
        desk.send(
            f"keys/{key.pk}/duplicate",
            name="zoho production",
            expires="",
            webhooks="on",
            form_number=number,
        )
    )
    assert "already an API key" in error_at(page, "name")
    assert APIKey.objects.count() == Webhook.objects.count() == 1
