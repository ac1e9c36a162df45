"""A login that ends in the middle loses nothing that was typed; guessing a password is slow; logging out is the end."""

import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from apikeys.models import APIKey, AuditEntry
from leads.models import Role, User
from tests.calliyo.conftest import TAB, text_of
from tests.calliyo.test_api_tab_keys import TOKEN
from webhooks.models import Webhook
from webhooks.operations import subscribe

PASSWORD = "correct horse"


def held_in(response):
    found = re.search(r'name="held" value="([^"]*)"', response.content.decode())
    assert found, text_of(response)
    return unescape(found[1])


def log_in(client, held, *, username="priya", password=PASSWORD):
    return client.post("/settings/login", {"username": username, "password": password, "held": held})


def typed_late(client, path, fields):
    """Sends a form without a login, logs in, and gives the page that comes then."""
    asked = client.post(path, fields)
    assert asked.status_code == 200
    assert "what you typed is there again" in text_of(asked)
    answer = log_in(client, held_in(asked))
    assert answer.status_code == 302
    return text_of(client.get(answer["Location"]))


def everything():
    return list(APIKey.objects.order_by("pk").values()), list(Webhook.objects.order_by("pk").values())


@pytest.fixture
def key(key_with):
    key = key_with("leads:read")
    subscribe(api_key=key, url="https://crm.example/hook", events=["lead.created"])
    return key


def test_every_typed_form_comes_back_filled_and_nothing_was_done(client, priya, key):
    hook = Webhook.objects.get()
    typed = {
        "/settings/api/keys": ({"name": "Marketing form"}, 'value="Marketing form"'),
        f"/settings/api/keys/{key.pk}/rename": ({"name": "Zoho live", "version": 1}, 'value="Zoho live"'),
        f"/settings/api/keys/{key.pk}/duplicate": ({"name": "Zoho test"}, 'value="Zoho test"'),
        f"/settings/api/keys/{key.pk}/scopes": (
            {"scopes": ["leads:read", "tags:write"], "version": 1, "rate_limit": "77"},
            'value="tags:write" checked',
        ),
        f"/settings/api/keys/{key.pk}/webhooks": (
            {"url": "https://a.example/new", "events": ["lead.created"], "secret_choice": "generate"},
            'value="https://a.example/new"',
        ),
        f"/settings/api/webhooks/{hook.pk}": (
            {"url": "https://a.example/other", "events": ["lead.created"], "version": hook.version},
            'value="https://a.example/other"',
        ),
    }
    before = everything()
    for path, (fields, shown) in typed.items():
        client.logout()
        page = typed_late(client, path, fields | {"expires": "", "form_number": "x"})
        assert shown in page, path
        assert "Nothing was saved yet" in page
        assert TOKEN.findall(page) == []
        assert "data-typed" in page, path
    assert everything() == before


def test_what_came_back_is_saved_when_it_is_sent_again(client, priya, key):
    page = typed_late(
        client, f"/settings/api/keys/{key.pk}/scopes", {"scopes": ["tags:read", "leads:read"], "version": 1}
    )
    version = re.search(r'name="version" value="(\d+)"', page)[1]
    client.post(
        f"/settings/api/keys/{key.pk}/scopes", {"scopes": ["tags:read", "leads:read"], "version": version}
    )
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "tags:read"]


def test_what_came_back_comes_once(client, priya, key):
    path = f"/settings/api/keys/{key.pk}/scopes"
    typed_late(client, path, {"scopes": ["tags:read"], "version": 1})
    assert client.get(path)["Location"] == TAB


def test_secrets_are_neither_in_the_login_page_nor_in_the_session(client, priya, key):
    fields = {"url": "https://a.example/", "events": ["lead.created"], "secret": "a very own secret"}
    path = f"/settings/api/keys/{key.pk}/webhooks"
    asked = client.post(path, fields | {"secret_choice": "typed"})
    assert "a very own secret" not in text_of(asked)
    answer = log_in(client, held_in(asked))
    assert not any("a very own secret" in str(session.get_decoded()) for session in Session.objects.all())
    page = text_of(client.get(answer["Location"]))
    assert 'value="https://a.example/"' in page
    assert "a very own secret" not in page


def test_a_button_pressed_late_does_nothing_and_says_so(client, priya, key):
    for action in ("deactivate", "regenerate", "delete"):
        client.logout()
        asked = client.post(f"/settings/api/keys/{key.pk}/{action}", {"typed_name": key.name})
        answer = log_in(client, held_in(asked))
        page = text_of(client.get(answer["Location"], follow=True))
        assert "nothing was changed" in page
    key.refresh_from_db()
    assert key.active and key.version == 1


def test_a_wrong_password_keeps_what_was_typed(client, priya):
    asked = client.post("/settings/api/keys", {"name": "Marketing form"})
    again = log_in(client, held_in(asked), password="wrong")
    assert again.status_code == 200
    answer = log_in(client, held_in(again))
    assert 'value="Marketing form"' in text_of(client.get(answer["Location"]))


def test_who_is_no_company_admin_gets_no_form(client, priya):
    User.objects.create_user("ravi", "ravi@example.com", "battery staple", role=Role.MANAGER)
    asked = client.post("/settings/api/keys", {"name": "Mine"})
    answer = log_in(client, held_in(asked), username="ravi", password="battery staple")
    assert client.get(answer["Location"]).status_code == 403


@pytest.mark.parametrize("held", ["", "nonsense", "x" * 10_000, "\x00"])
def test_a_seal_of_ones_own_making_leads_to_the_tab(client, priya, held):
    assert log_in(client, held)["Location"] == "/settings"


def test_a_seal_is_good_for_a_day(client, priya):
    held = held_in(client.post("/settings/api/keys", {"name": "Marketing form"}))
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        assert log_in(client, held)["Location"] == "/settings"


def test_what_is_too_long_to_carry_is_said_to_be_lost(client, priya):
    noise = "".join(chr(200 + number * 7919 % 50_000) for number in range(120_000))
    page = text_of(client.post("/settings/api/keys", {"name": noise}))
    assert "nothing was saved. Please log in" in page


def test_a_form_from_before_another_login_comes_back_filled(priya, key):
    client = Client(enforce_csrf_checks=True)
    client.force_login(priya)
    fields = {"scopes": ["leads:read", "tags:read"], "version": 1, "csrfmiddlewaretoken": "x" * 64}
    path = f"/settings/api/keys/{key.pk}/scopes"
    refused = client.post(path, fields, headers={"sec-fetch-site": "cross-site"})
    assert refused.status_code == 403
    answer = client.post(path, fields, headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, answer["Location"]) == (302, path)
    page = text_of(client.get(path))
    assert 'value="tags:read" checked' in page
    key.refresh_from_db()
    assert key.scopes == ["leads:read"]


@pytest.mark.parametrize("address", ["/admin/login/", "/settings/login"])
def test_guessing_is_stopped_for_a_while(client, priya, address):
    for number in range(10):
        name = ("priya", "PRIYA", " Priya ")[number % 3]
        answer = client.post(address, {"username": name, "password": f"guess {number}", "held": "kept"})
    assert answer.status_code == 429
    assert "Too many attempts" in text_of(answer)
    right = {"username": "priya", "password": PASSWORD}
    assert client.post(address, right).status_code == 429
    assert client.get(TAB).status_code == 302
    elsewhere = client.post(address, right, REMOTE_ADDR="203.0.113.9")
    assert elsewhere.status_code == 302
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        assert client.post(address, right).status_code == 302


def test_a_right_password_forgives_the_wrong_ones_before(client, priya):
    for _ in range(3):
        for number in range(9):
            client.post("/admin/login/", {"username": "priya", "password": f"guess {number}"})
        assert client.post("/admin/login/", {"username": "priya", "password": PASSWORD}).status_code == 302


def test_who_guesses_leaves_no_password_and_no_typed_text_behind(client, priya):
    held = held_in(client.post("/settings/api/keys", {"name": "Marketing form"}))
    log_in(client, held, password="nearly right")
    [attempt] = AccessAttempt.objects.values()
    assert "nearly right" not in str(attempt)
    assert held not in str(attempt)


def test_logging_out_ends_the_session(desk):
    assert desk.client.post("/admin/logout/").status_code == 200
    assert desk.client.get(TAB)["Location"].startswith("/admin/login/")
    assert not AuditEntry.objects.exists()
