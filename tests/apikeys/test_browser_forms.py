"""Browser forms: one route with CORS, for origins that a key allows, with a limit for each address."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from apikeys import throttling
from apikeys.errors import BrowserKeyTooWide
from apikeys.models import APIKey
from apikeys.operations import deactivate_key, delete_key, set_scopes
from apikeys.throttling import LocalBuckets
from leads.models import Lead
from tests.clients import public_client

SITE = "https://www.example.com"
OTHER = "https://evil.example"
LEAD = {"first_name": "Asha", "phone": "98765 43210"}


@pytest.fixture
def form(db):
    return public_client("leads:write", allowed_origins=[SITE])


def preflight(path="/public/leads", origin=SITE, **headers):
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return Client().generic("OPTIONS", path, headers={"Origin": origin} | asked | headers)


def assert_no_cors(answer):
    assert [name for name in answer.headers if name.startswith("Access-Control-")] == []


def varies(answer):
    return {name.strip() for name in answer["Vary"].split(",")}


# ── The preflight ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/public/leads", "/public/leads/", "/public/leads?on_duplicate=ignore"])
def test_a_preflight_is_answered_for_an_origin_that_a_live_key_allows(form, path):
    answer = preflight(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == SITE
    assert answer["Access-Control-Allow-Methods"] == "POST"
    allowed = {name.strip().lower() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key"} <= allowed
    assert "Access-Control-Allow-Credentials" not in answer
    assert "Origin" in varies(answer) and answer["X-Request-Id"]


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "http://www.example.com", f"{SITE}:8443", f"{SITE}.evil.example"]
)
def test_another_origin_is_refused(form, origin):
    answer = preflight(origin=origin)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert answer["Content-Type"] == "application/problem+json"
    assert_no_cors(answer)
    assert "Origin" in varies(answer)


@pytest.mark.parametrize(
    "end",
    [
        lambda key: deactivate_key(key=key),
        lambda key: delete_key(key=key),
        lambda key: APIKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda key: APIKey.objects.update(allowed_origins=[]),
    ],
)
def test_a_key_that_is_not_live_allows_nobody(form, end):
    end(form.key)
    assert preflight().status_code == 403


def test_any_live_key_will_do(form):
    public_client("leads:write", allowed_origins=[OTHER, "http://localhost:3000"])
    for origin in (SITE, OTHER, "http://localhost:3000"):
        assert preflight(origin=origin)["Access-Control-Allow-Origin"] == origin


def test_without_an_origin_options_asks_for_a_token_as_ever(form):
    answer = Client().generic("OPTIONS", "/public/leads")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert form.request("OPTIONS", "/public/leads")["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "path", ["/public/leads/1", "/public/leads/batch", "/public/customers", "/public/me", "/public/tags"]
)
def test_no_other_route_has_cors(form, path):
    refused = preflight(path)
    assert refused.status_code == 401
    assert_no_cors(refused)
    assert_no_cors(form.request("POST", path, "[]", headers={"Origin": SITE}))
    assert_no_cors(form.get(path, Origin=SITE))


# ── The request itself ──────────────────────────────────────────────────────────────────────────────────────


def test_a_form_posts_and_its_page_reads_the_answer(form):
    answer = form.post("/public/leads", LEAD, Origin=SITE)
    assert answer.status_code == 202
    assert answer["Access-Control-Allow-Origin"] == SITE
    assert "Access-Control-Allow-Credentials" not in answer
    exposed = answer["Access-Control-Expose-Headers"]
    assert "X-Request-Id" in exposed and "Retry-After" in exposed
    assert "Origin" in varies(answer)
    assert Lead.objects.count() == 1


def test_the_page_reads_refusals_too(form):
    for answer, status in (
        (form.post("/public/leads", {"first_name": ""}, Origin=SITE), 400),
        (form.post("/public/leads", LEAD | {"status": "Busy"}, Origin=SITE), 403),
        (form.get("/public/leads", Origin=SITE), 403),
        (form.post("/public/leads", LEAD, Origin=SITE, Authorization="Bearer x"), 401),
        (form.request("PUT", "/public/leads", headers={"Origin": SITE}), 405),
    ):
        assert answer.status_code == status
        assert answer["Access-Control-Allow-Origin"] == SITE
    assert not Lead.objects.exists()


def test_an_origin_that_this_key_does_not_allow_is_refused(form):
    public_client("leads:write", allowed_origins=["https://shop.example"])
    for origin in (OTHER, "null", "https://shop.example"):
        answer = form.post("/public/leads", LEAD, Origin=origin)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert answer.get("Access-Control-Allow-Origin") in {None, "https://shop.example"}
        assert "Origin" in varies(answer)
    assert_no_cors(form.post("/public/leads", LEAD, Origin=OTHER))
    assert not Lead.objects.exists()


def test_without_an_origin_it_passes_and_still_varies_by_it(form):
    answer = form.post("/public/leads", LEAD)
    assert answer.status_code == 202
    assert "Origin" in varies(answer)
    assert_no_cors(answer)


def test_calliyos_own_pages_need_no_cors(form, settings):
    settings.BASE_URL = "https://crm.example.com"
    for own in ("https://crm.example.com", "http://testserver"):
        answer = form.post("/public/leads", LEAD, Origin=own)
        assert answer.status_code == 202
        assert_no_cors(answer)


def test_a_key_with_origins_never_holds_more_than_writing_leads(form):
    with pytest.raises(BrowserKeyTooWide):
        set_scopes(key=form.key, scopes=["leads:read", "leads:write"])
    with pytest.raises(BrowserKeyTooWide):
        public_client("tags:write", allowed_origins=[SITE])
    assert APIKey.objects.get().scopes == ["leads:write"]


def test_a_database_that_is_away_is_told_as_ever(form, monkeypatch, caplog):
    def is_away(self, *args, **options):
        raise OperationalError("the database is gone")

    monkeypatch.setattr("apikeys.lookup.Statement.fetch", is_away)
    monkeypatch.setattr("django.db.models.query.QuerySet.values_list", is_away)
    answer = form.post("/public/leads", LEAD, Origin=SITE)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert_no_cors(answer)
    assert "browser_forms.origin_not_looked_up" in caplog.text


# ── The limit for each address ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(throttling, "BUCKETS", LocalBuckets(lambda: now[0]))
    return now


def send(client, address):
    return client.request("POST", "/public/leads", "{}", REMOTE_ADDR=address, headers={"Origin": SITE})


@pytest.mark.parametrize("rate", [0, None])
def test_each_address_has_a_limit_of_its_own(db, clock, rate):
    form = public_client("leads:write", allowed_origins=[SITE], rate_limit=rate)
    answers = [send(form, "203.0.113.9") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [400] * 30 + [429]
    assert (answers[-1].json()["code"], answers[-1]["Retry-After"]) == ("rate_limited", "2")
    assert answers[-1]["Access-Control-Allow-Origin"] == SITE
    assert send(form, "203.0.113.10").status_code == 400
    clock[0] += 2
    assert send(form, "203.0.113.9").status_code == 400


def test_both_policies_are_told_and_one_visitor_does_not_use_up_the_key(db, clock):
    form = public_client("leads:write", allowed_origins=[SITE], rate_limit=60)
    first = send(form, "203.0.113.9")
    assert first["RateLimit-Policy"] == '"default";q=60;w=60, "address";q=30;w=60'
    assert first["RateLimit"] == '"default";r=59;t=1, "address";r=29;t=2'
    for _ in range(100):
        refused = send(form, "203.0.113.9")
    assert (refused.status_code, refused["RateLimit"]) == (429, '"address";r=0;t=60')
    assert send(form, "203.0.113.10")["RateLimit"].startswith('"default";r=29;')


def test_an_ipv6_household_is_one_address(db, clock):
    form = public_client("leads:write", allowed_origins=[SITE])
    for number in range(30):
        assert send(form, f"2001:db8:0:1::{number:x}").status_code == 400
    assert send(form, "2001:db8:0:1:ffff::1").status_code == 429
    assert send(form, "2001:db8:0:2::1").status_code == 400


def test_a_key_without_origins_has_no_limit_for_an_address(db, clock):
    client = public_client("leads:write")
    assert {client.post("/public/leads", {}).status_code for _ in range(40)} == {400}


def test_addresses_without_number_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(throttling, "MANY", 100)
    now = [1000.0]
    buckets = LocalBuckets(lambda: now[0])
    buckets._look_through_at = 100
    limit = throttling.Limit(rate=30)
    for number in range(5_000):
        now[0] += 0.1
        buckets.take(f"1:{number}", limit, 1)
    assert len(buckets._levels) <= 201
    assert len(buckets._levels) == len(buckets._full_at)
