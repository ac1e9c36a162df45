"""Create, regenerate, activate, deactivate, delete: the token is seen once, and nothing happens twice."""

import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format

from apikeys.models import APIKey, AuditEntry, RecentCalls
from apikeys.operations import regenerate_token
from apikeys.tokens import digest
from apikeys.usage import quarter_of
from calliyo.actor import Actor, ActorType, acting_as
from calliyo.pages.form_numbers import issue
from leads.models import Role, User
from tests.calliyo.conftest import TAB, Desk, text_of
from webhooks.models import Webhook
from webhooks.operations import subscribe

TOKEN = re.compile(r"cly_live_[0-9A-Za-z]{38}")


def shown_token(response):
    assert response.status_code == 200
    tokens = set(TOKEN.findall(text_of(response)))
    assert len(tokens) == 1
    return tokens.pop()


def everything_stored():
    """The whole database as text, whatever the tables are."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  # our own tables' names
            yield from map(str, cursor.fetchall())


def test_a_created_key_shows_its_token_once(desk, caplog):
    caplog.set_level(logging.DEBUG)
    response = desk.create("Zoho production")
    token = shown_token(response)
    key = APIKey.objects.get()
    assert (key.name, key.scopes, key.digest, key.expires_at) == ("Zoho production", [], digest(token), None)
    assert (key.created_by_type, key.created_by_name) == ("user", "Priya Nair")
    assert "no-store" in response["Cache-Control"]
    page = text_of(response)
    assert "Calliyo only stores a hash" in page
    assert f"Authorization: Bearer {token}" in page
    assert "I have copied it" in page
    assert TOKEN.findall(desk.see()) == []
    assert token not in caplog.text
    assert not any(token in row for row in everything_stored())
    assert not any(token in str(session.get_decoded()) for session in Session.objects.all())


def test_a_second_post_of_the_same_form_mints_nothing_and_says_so(desk):
    number = desk.number()
    assert desk.send("keys", name="Zoho production", form_number=number).status_code == 200
    again = desk.send("keys", name="Zoho again", form_number=number)
    assert (again.status_code, again["Location"]) == (302, TAB)
    assert "nothing was done a second time" in desk.notices()
    assert APIKey.objects.count() == 1


def test_a_form_that_was_refused_can_be_sent_again(desk, key_with):
    key_with(name="Taken")
    refused = desk.create("Taken")
    assert refused.status_code == 200
    number = re.search(r'name="form_number" value="([^"]+)"', text_of(refused))
    assert desk.send("keys", name="Free", form_number=number[1]).status_code == 200


@pytest.mark.parametrize("number", ["", "nonsense", "a:b:c", "x" * 10_000, "\x00"])
def test_a_form_number_of_ones_own_making_mints_nothing(desk, number):
    response = desk.send("keys", name="Zoho production", form_number=number)
    assert response.status_code == 200
    assert "open for too long" in text_of(response)
    assert "Zoho production" in text_of(response)
    assert not APIKey.objects.exists()


def test_a_form_number_of_somebody_else_mints_nothing(desk, db):
    other = User.objects.create_user("asha", "asha@example.com", name="Asha Rao", role=Role.COMPANY_ADMIN)
    response = desk.send("keys", name="Zoho production", form_number=issue(other))
    assert response.status_code == 200
    assert not APIKey.objects.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "Give the key a name"),
        ("   ", "Give the key a name"),
        ("x" * 101, "at most 100 characters"),
        ("x" * 10_000, "at most 100 characters"),
        ("nul\x00byte", "Null characters are not allowed"),
        ("right\u202eto left", "printable characters only: it has the invisible U+202E"),
        ("two\nlines", "invisible U+000A"),
        ("\u200d\u200c", "An API key needs a name"),
        ("zoho PRODUCTION", "already an API key"),
    ],
)
def test_a_bad_name_is_refused_at_its_field_and_kept(desk, key_with, name, reason):
    key_with(name="Zoho production")
    response = desk.create(name)
    assert response.status_code == 200
    page = text_of(response)
    assert reason in page
    assert re.search(
        r'<input[^>]*name="name"[^>]*aria-invalid="true"[^>]*aria-describedby="[^"]*id_name_error', page
    )
    assert TOKEN.findall(page) == []
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "“Müller” & Söhne",
        "لوحة",
        "📞 dialler",
        "👩\u200d💻 ക്ഷ\u200dn",
        "a" * 100,
    ],
)
def test_an_unusual_name_is_a_name_and_stays_text(desk, name):
    shown_token(desk.create(name))
    assert APIKey.objects.get().name == name
    raw = desk.client.get(TAB).content.decode()
    assert "<script>alert" not in raw
    key = APIKey.objects.get()
    for query in (f"&key={key.pk}", f"&key={key.pk}&confirm=delete", f"&key={key.pk}&confirm=regenerate"):
        assert name in desk.see(f"{TAB}{query}")


def test_a_key_may_end_at_the_end_of_a_day_of_the_company(desk):
    day = timezone.localdate() + timedelta(days=40)
    shown_token(desk.create(expires="date", expires_on=day.isoformat()))
    # Midnight in India is half past six in the evening before, in UTC.
    assert APIKey.objects.get().expires_at == datetime(day.year, day.month, day.day, 18, 30, tzinfo=UTC)
    assert f"works through {date_format(day, 'j M Y')}" in desk.see()


@pytest.mark.parametrize(
    ("expires", "on", "reason"),
    [
        ("date", "", "Choose the last day"),
        ("date", "2020-01-01", "This day is over"),
        ("date", "tomorrow", "Write the day as in"),
        ("12345", "", "Select a valid choice"),
    ],
)
def test_a_bad_expiry_is_refused(desk, expires, on, reason):
    response = desk.create(expires=expires, expires_on=on)
    assert response.status_code == 200
    assert reason in text_of(response)
    assert not APIKey.objects.exists()


def test_a_starting_point_suggests_a_name_and_scopes_and_grants_only_what_is_ticked(desk):
    page = desk.see(f"{TAB}&new=form")
    assert 'value="Marketing form"' in page
    assert re.findall(r'name="scopes" value="([^"]+)" checked', page) == ["leads:write"]
    shown_token(desk.create("Marketing form", start="form", scopes=["leads:write"]))
    assert APIKey.objects.get().scopes == ["leads:write"]


def test_an_unknown_scope_is_refused(desk):
    response = desk.create(scopes=["leads:delete"], start="form")
    assert response.status_code == 200
    assert not APIKey.objects.exists()


def test_regenerate_shows_the_new_token_once_and_the_old_one_is_gone(desk):
    old = shown_token(desk.create())
    key = APIKey.objects.get()
    confirm = f"{TAB}&key={key.pk}&confirm=regenerate"
    assert "The old one stops working immediately" in desk.see(confirm)
    number = desk.number(confirm)
    new = shown_token(desk.send(f"keys/{key.pk}/regenerate", form_number=number, version=key.version))
    key.refresh_from_db()
    assert new != old
    assert key.digest == digest(new)
    assert desk.send(f"keys/{key.pk}/regenerate", form_number=number)["Location"] == TAB
    key.refresh_from_db()
    assert key.digest == digest(new)
    assert list(AuditEntry.objects.values_list("action", "actor_name")) == [
        ("api_key.regenerated", "Priya Nair"),
        ("api_key.created", "Priya Nair"),
    ]


def test_regenerate_names_what_breaks(desk, key_with):
    key = key_with("leads:read")
    confirm = f"{TAB}&key={key.pk}&confirm=regenerate"
    assert "has never been used" in desk.see(confirm)
    now = timezone.now()
    RecentCalls.objects.create(api_key_id=key.pk, quarter=quarter_of(now), calls=3)
    RecentCalls.objects.create(api_key_id=key.pk, quarter=quarter_of(now) - 6, calls=50)
    APIKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_address="203.0.113.7")
    page = desk.see(confirm)
    assert "3 requests in the last hour used this token." in page
    assert re.search(r"It was last used <time[^>]*>just now</time> from 203.0.113.7.", page)


def test_regenerate_removes_the_ticked_ones_of_what_the_token_made(desk, key_with):
    key, other = key_with("leads:read"), key_with("leads:read", name="Other")

    def made(by, url, of=key):
        with acting_as(by):
            return subscribe(api_key=of, url=url, events=["lead.created"])

    by_key = Actor(type=ActorType.API_KEY, id=key.pk, name=key.name)
    thief, known = made(by_key, "https://thief.example/"), made(by_key, "https://known.example/")
    ours = made(Actor(type=ActorType.USER, id=key.pk, name="Priya"), "https://ours.example/")
    theirs = made(Actor(type=ActorType.API_KEY, id=other.pk), "https://theirs.example/", of=other)
    confirm = f"{TAB}&key={key.pk}&confirm=regenerate"
    page = desk.see(confirm)
    assert re.findall(r'name="remove" value="(\d+)" checked', page) == [str(thief.pk), str(known.pk)]
    assert "https://thief.example/" in page and "https://ours.example" not in page
    remove = [thief.pk, ours.pk, theirs.pk, "x", "9" * 40]
    shown_token(
        desk.send(f"keys/{key.pk}/regenerate", form_number=desk.number(confirm), version=1, remove=remove)
    )
    assert set(Webhook.objects.all()) == {known, ours, theirs}
    assert AuditEntry.objects.filter(action="webhook.deleted", actor_name="Priya Nair").count() == 1


def test_a_refused_regenerate_removes_no_webhook(desk, key_with):
    key = key_with("leads:read")
    with acting_as(Actor(type=ActorType.API_KEY, id=key.pk)):
        webhook = subscribe(api_key=key, url="https://known.example/", events=["lead.created"])
    number = desk.number(f"{TAB}&key={key.pk}&confirm=regenerate")
    desk.send(f"keys/{key.pk}/regenerate", form_number=number, version=77, remove=[webhook.pk])
    assert Webhook.objects.exists()


def test_a_token_that_somebody_just_regenerated_is_not_broken_by_a_dialog_opened_before(desk, key_with):
    key = key_with()
    number, opened = desk.number(f"{TAB}&key={key.pk}&confirm=regenerate"), key.version
    regenerate_token(key=key)
    key.refresh_from_db()
    handed_out = key.digest
    response = desk.send(f"keys/{key.pk}/regenerate", form_number=number, version=opened)
    assert response["Location"] == f"{TAB}&key={key.pk}&confirm=regenerate"
    assert "somebody changed this key" in desk.see(response["Location"])
    key.refresh_from_db()
    assert key.digest == handed_out


def test_deactivate_and_activate_hold_at_once_and_say_what_waits(desk, key_with):
    key = key_with()
    assert desk.send(f"keys/{key.pk}/deactivate")["Location"] == f"{TAB}&at={key.pk}#key-{key.pk}"
    key.refresh_from_db()
    assert not key.active
    assert "Deliveries are kept until it is active again" in desk.notices()
    assert (
        desk.send(f"keys/{key.pk}/activate", panel="webhooks")["Location"]
        == f"{TAB}&key={key.pk}&panel=webhooks"
    )
    key.refresh_from_db()
    assert key.active


def test_delete_asks_for_the_name_and_takes_nothing_else(desk, key_with):
    key = key_with(name="Zoho production")
    for typed in ("", "zoho production", "Zoho", "<b>"):
        response = desk.send(f"keys/{key.pk}/delete", typed_name=typed)
        assert response.status_code == 200
    assert APIKey.objects.filter(pk=key.pk).exists()
    assert desk.send(f"keys/{key.pk}/delete", typed_name=" Zoho production ")["Location"] == TAB
    assert not APIKey.objects.exists()
    assert "is deleted" in desk.notices()


def test_the_list_tells_a_key_at_a_glance(desk, key_with):
    key = key_with("leads:read", "leads:write", "tags:read")
    APIKey.objects.filter(pk=key.pk).update(
        last_used_at=timezone.now() - timedelta(minutes=3), last_used_address="203.0.113.7"
    )
    page = desk.see()
    for words in (
        "Zoho production",
        f"{key.prefix}…",
        "Active",
        "Leads read·write",
        "Tags read",
        "3 min ago",
    ):
        assert words in page
    assert re.search(r"used <time[^>]*>3 min ago</time> from 203.0.113.7", page)
    APIKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(hours=1))
    assert "Expired" in desk.see()


def test_the_list_is_searched_by_name_and_by_the_start_of_a_token(desk, key_with):
    for number in range(11):
        key_with(name=f"System {number}")
    assert 'type="search"' in desk.see()
    assert "System 7" in desk.see(f"{TAB}&q=system 7")
    assert "System 8" not in desk.see(f"{TAB}&q=system 7")
    prefix = APIKey.objects.get(name="System 3").prefix
    assert "System 3" in desk.see(f"{TAB}&q={prefix}")
    assert "No key has" in desk.see(f"{TAB}&q=nothing such")


def test_a_few_keys_need_no_search(desk, key_with):
    key_with()
    assert 'type="search"' not in desk.see()


def test_two_hundred_keys_cost_no_more_queries_than_one(desk, key_with, django_assert_max_num_queries):
    for number in range(200):
        key_with("leads:read", name=f"System {number:03}")
    seen, address = [], TAB
    for _ in range(4):
        with django_assert_max_num_queries(8):
            page = desk.see(address)
        seen += re.findall(r'aria-label="Configure (System \d+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = following[1] if following else ""
    assert seen == [f"System {number:03}" for number in range(200)]
    assert address == ""
    assert "151–200 of 200 keys" in page


def test_the_list_is_at_the_page_that_somebody_comes_back_to(desk, key_with):
    for number in range(120):
        key_with(name=f"System {number:03}")
    key = APIKey.objects.get(name="System 077")
    for address in (f"{TAB}&at={key.pk}", f"{TAB}&key={key.pk}", f"{TAB}&page=2"):
        page = desk.see(address)
        assert 'aria-label="Configure System 077"' in page and "51–100 of 120 keys" in page
    assert f'href="{TAB}&page=2#key-{key.pk}" data-close' in desk.see(f"{TAB}&key={key.pk}")
    found = desk.see(f"{TAB}&q=07&page=1")
    assert f'href="{TAB}&q=07&key={key.pk}&panel=scopes"' in found
    for page in ("0", "-1", "99", "x", "9" * 40):
        assert "Create API Key" in desk.see(f"{TAB}&page={page}")


def test_two_sessions_can_work_side_by_side(desk, priya):
    other = Client()
    other.force_login(priya)
    numbers = [Desk(other).number(), desk.number()]
    for name, number in zip(["One", "Two"], numbers, strict=True):
        assert desk.send("keys", name=name, form_number=number).status_code == 200
    assert APIKey.objects.count() == 2
