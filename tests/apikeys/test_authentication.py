"""The contract's table of *Tokens*, row by row, and that nothing else opens the API."""

from datetime import timedelta
from ipaddress import ip_network

import pytest
import structlog
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from apikeys import tokens
from apikeys.models import APIKey
from apikeys.operations import (
    activate_key,
    deactivate_key,
    delete_key,
    regenerate_token,
    set_scopes,
)
from calliyo.actor import SYSTEM, current_actor
from calliyo.api.request_id import RequestIdMiddleware
from leads.models import Lead
from tests.clients import public_client

PLAIN = 'Bearer realm="calliyo"'
INVALID = 'Bearer realm="calliyo", error="invalid_token"'
ABC = f"cly_live_{'a' * 32}"


def ask(authorization=None, **extra):
    headers = {} if authorization is None else {"Authorization": authorization}
    return Client().get("/public/me", headers=headers | extra)


def assert_problem(answer, status, code):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= {"type", "title", "status", "code", "detail", "errors", "request_id"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == answer["X-Request-Id"]
    return body


@pytest.fixture
def me(db):
    return public_client("leads:read", name="Zoho production")


def test_a_valid_token_opens_the_api(me):
    answer = me.get("/public/me")
    assert answer.status_code == 200
    assert answer.json()["name"] == "Zoho production"
    assert answer["X-Request-Id"].startswith("req_")


MALFORMED = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Basic dXNlcjpwYXNz",
    "Bearer cly_live_",
    f"Bearer {ABC}000000",  # wrong checksum
    f"Bearer {ABC}{tokens.checksum('a' * 32)}x",
    f"Bearer {ABC}{tokens.checksum('a' * 32)}, Bearer x",
    f"Bearer {ABC} {tokens.checksum('a' * 32)}",
    f"Token {ABC}{tokens.checksum('a' * 32)}",
    f"{ABC}{tokens.checksum('a' * 32)}",
    "Bearer \xff\xfe",
    "Bearer " + "A" * 100_000,
]


@pytest.mark.parametrize("header", MALFORMED)
def test_no_or_a_malformed_token_never_reaches_the_database(header):
    # No `db` fixture: a query would fail this test.
    answer = ask(header)
    assert_problem(answer, 401, "not_authenticated")
    assert answer["WWW-Authenticate"] == PLAIN


def test_the_scheme_is_read_in_any_case(me):
    assert ask(f"bEARER  {me.token}").status_code == 200


def test_an_unknown_token_is_invalid(db):
    answer = ask(f"Bearer {tokens.mint().text}")
    assert_problem(answer, 401, "invalid_token")
    assert answer["WWW-Authenticate"] == INVALID


def test_a_regenerated_token_is_invalid_from_the_next_request_on(me):
    minted = regenerate_token(key=me.key)
    answer = me.get("/public/me")
    assert_problem(answer, 401, "invalid_token")
    assert answer["WWW-Authenticate"] == INVALID
    assert ask(f"Bearer {minted.token}").status_code == 200


def test_a_deleted_keys_token_is_invalid(me):
    delete_key(key=me.key)
    assert_problem(me.get("/public/me"), 401, "invalid_token")


def test_an_expired_token_is_invalid(me):
    APIKey.objects.update(expires_at=timezone.now() + timedelta(minutes=5))
    assert me.get("/public/me").status_code == 200
    APIKey.objects.update(expires_at=timezone.now())
    answer = me.get("/public/me")
    assert_problem(answer, 401, "invalid_token")
    assert answer["WWW-Authenticate"] == INVALID


def test_a_deactivated_key_says_so_and_works_again_when_active(me):
    deactivate_key(key=me.key)
    answer = me.get("/public/me")
    assert_problem(answer, 401, "key_inactive")
    assert answer["WWW-Authenticate"] == PLAIN
    activate_key(key=me.key)
    assert me.get("/public/me").status_code == 200


def test_an_address_outside_the_allow_list_is_refused(db, settings):
    client = public_client(allowed_addresses=["203.0.113.0/24", "2001:db8::/32"])
    assert_problem(client.get("/public/me"), 403, "address_not_allowed")
    assert client.request("GET", "/public/me", REMOTE_ADDR="203.0.113.9").status_code == 200
    assert client.request("GET", "/public/me", REMOTE_ADDR="::ffff:203.0.113.9").status_code == 200
    assert client.request("GET", "/public/me", REMOTE_ADDR="2001:db8::1").status_code == 200
    assert client.request("GET", "/public/me", REMOTE_ADDR="203.0.114.9").status_code == 403


def test_forwarded_addresses_count_only_from_trusted_proxies(db, settings):
    client = public_client(allowed_addresses=["203.0.113.9"])
    forged = client.get("/public/me", X_Forwarded_For="203.0.113.9")
    assert_problem(forged, 403, "address_not_allowed")
    settings.CALLIYO_TRUSTED_PROXIES = [ip_network("127.0.0.0/8")]
    assert client.get("/public/me", X_Forwarded_For="203.0.113.9").status_code == 200
    assert client.get("/public/me", X_Forwarded_For="203.0.113.9, 192.0.2.1").status_code == 403


def test_a_page_of_another_origin_is_refused(db, settings):
    settings.BASE_URL = "https://crm.example.com"
    plain = public_client("leads:write")
    form = public_client("leads:write", allowed_origins=["https://www.example.com"])
    lead = {"first_name": "Asha", "phone": "9876543210"}
    for client, origin in (
        (plain, "https://www.example.com"),
        (plain, "null"),
        (form, "null"),
        (form, "https://evil.example"),
        (form, "http://www.example.com"),
        (form, "https://www.example.com.evil.example"),
    ):
        assert_problem(client.post("/public/leads", lead, Origin=origin), 403, "origin_not_allowed")
    assert not Lead.objects.exists()
    assert form.post("/public/leads", lead, Origin="https://WWW.example.com").status_code == 202
    for own in ("https://crm.example.com", "http://testserver", None):
        assert plain.get("/public/me", Origin=own).status_code == 200


def test_a_missing_scope_is_named(me):
    answer = me.get("/public/tags")
    assert_problem(answer, 403, "insufficient_scope")
    assert answer["WWW-Authenticate"] == (
        'Bearer realm="calliyo", error="insufficient_scope", scope="tags:read"'
    )


def test_scopes_hold_from_the_next_request_on(me):
    assert me.get("/public/leads").status_code == 200
    set_scopes(key=me.key, scopes=[])
    assert me.get("/public/leads").status_code == 403


def test_a_token_in_query_or_cookie_is_never_accepted(me):
    client = Client()
    client.cookies["token"] = me.token
    client.cookies["Authorization"] = f"Bearer {me.token}"
    answer = client.get("/public/me", {"token": me.token, "access_token": me.token})
    assert_problem(answer, 401, "not_authenticated")


def test_a_browser_session_never_opens_the_api(db):
    client = Client()
    user = get_user_model().objects.create_superuser("boss", "boss@example.com", "pw", name="Boss")
    client.force_login(user)
    for path in ("/public/me", "/public/leads"):
        assert_problem(client.get(path), 401, "not_authenticated")


def test_the_token_is_looked_up_by_its_digest_in_one_query(me, django_assert_num_queries):
    APIKey.objects.update(last_used_at=timezone.now())
    with django_assert_num_queries(1) as queries:
        assert me.get("/public/tags").status_code == 403
    assert tokens.digest(me.token) in queries[0]["sql"]
    assert me.token not in queries[0]["sql"]


def test_last_use_is_written_at_most_once_a_minute(me, django_assert_num_queries):
    me.get("/public/tags")
    key = APIKey.objects.get()
    assert key.last_used_address == "127.0.0.1"
    assert timezone.now() - key.last_used_at < timedelta(seconds=10)
    with django_assert_num_queries(1):
        me.get("/public/tags")
    APIKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    # PostgreSQL is first asked for the page of the key as it was kept.
    with django_assert_num_queries(3 if connection.vendor == "postgresql" else 2) as queries:
        me.get("/public/tags")
    assert ["UPDATE" in query["sql"] for query in queries].count(True) == 1
    assert APIKey.objects.get().version == key.version


def test_a_use_that_cannot_be_noted_stops_nobody(me, monkeypatch, caplog):
    def locked(self, **values):
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert me.get("/public/me").status_code == 200
    assert "use_not_noted" in caplog.text


def test_a_refused_token_counts_as_no_use(me):
    deactivate_key(key=me.key)
    me.get("/public/me")
    assert APIKey.objects.get().last_used_at is None


def test_no_cache_keeps_an_answer_for_others(me):
    for path in ("me", "leads", "tags"):
        assert me.get(f"/public/{path}")["Cache-Control"] == "private, no-cache"


def test_a_log_line_names_the_key_of_its_own_request_only(me):
    me.get("/public/leads")
    seen = []

    def remember(request):
        seen.append(structlog.contextvars.get_contextvars())
        return HttpResponse()

    RequestIdMiddleware(remember)(RequestFactory().get("/", headers={"X-Request-Id": "next"}))
    assert seen == [{"request_id": "next"}]


def test_who_acts_is_forgotten_after_the_request(me):
    me.get("/public/me")
    assert current_actor() == SYSTEM


def test_a_database_that_is_away_is_a_503_and_no_log_holds_the_token(me, monkeypatch, capsys, caplog):
    def fails(self, *_args, **_options):
        raise OperationalError("the database is gone")

    monkeypatch.setattr("apikeys.lookup.Statement.fetch", fails)
    answer = me.get("/public/me")
    assert_problem(answer, 503, "database_unavailable")
    assert answer["Retry-After"]
    assert "the database is gone" in caplog.text
    assert me.token not in caplog.text + "".join(capsys.readouterr())
