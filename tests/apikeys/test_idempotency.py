"""`Idempotency-Key`: what is given again, what is refused, what is not kept."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from apikeys import idempotency
from apikeys.models import APIKey, IdempotencyRecord
from apikeys.operations import delete_key, set_scopes
from apikeys.tasks import prune_idempotency_records
from leads.models import Deletion, Lead
from webhooks.models import Event

LEAD = {"first_name": "Asha", "phone": "98765 43210"}
AGAIN = "Idempotent-Replayed"


@pytest.fixture
def sync(client_with):
    return client_with("leads:read", "leads:write")


def post(client, data=LEAD, key="k-1", path="/public/leads"):
    return client.post(path, data, Idempotency_Key=key)


def assert_refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert AGAIN not in answer
    return answer


def assert_again(answer, first):
    assert (answer.status_code, answer.content) == (first.status_code, first.content)
    for name in ("Content-Type", "ETag", "Location"):
        assert answer.get(name) == first.get(name)
    assert answer[AGAIN] == "true"
    assert answer["X-Request-Id"] != first["X-Request-Id"]


def age(**past):
    """Lets so much time pass for the one row that there is."""
    record, span = IdempotencyRecord.objects.get(), timedelta(**past)
    IdempotencyRecord.objects.update(
        created_at=record.created_at - span, leased_until=record.leased_until - span
    )


# ── The same again ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_answer_is_given_again_and_nothing_is_written_twice(sync):
    first = post(sync)
    assert first.status_code == 201 and AGAIN not in first
    for path in ("/public/leads", "/public/leads/"):
        assert_again(post(sync, path=path), first)
    sync.patch(f"/public/leads/{first.json()['id']}", {"first_name": "Usha"})
    assert_again(post(sync), first)
    assert (Lead.objects.count(), Event.objects.filter(type="lead.created").count()) == (1, 1)
    record = IdempotencyRecord.objects.get()
    assert (record.api_key_id, record.method, record.path) == (sync.key.pk, "POST", "/public/leads")


def test_without_the_header_each_request_stands_for_itself(sync):
    assert sync.post("/public/leads", LEAD).status_code == 201
    assert sync.post("/public/leads", LEAD).status_code == 409
    assert not IdempotencyRecord.objects.exists()


def test_a_refusal_is_given_again_too(sync):
    for number, (path, data, status) in enumerate(
        [
            ("/public/leads", {"first_name": "Asha"}, 400),
            ("/public/leads?x=1", LEAD, 400),
            ("/public/leads", LEAD | {"phone": sync.post("/public/leads", LEAD).json()["phone"]}, 409),
        ]
    ):
        first = post(sync, data, f"k-{number}", path)
        assert first.status_code == status
        assert_again(post(sync, data, f"k-{number}", path), first)
    Lead.objects.all().delete()
    assert post(sync, LEAD | {"phone": "+919876543210"}, "k-2").status_code == 409
    assert not Lead.objects.exists()


def test_an_unreadable_body_is_refused_the_same_way_twice(sync):
    for key, body, content_type, status in (
        ("a", b"{", "application/json", 400),
        ("b", b"x: y", "text/yaml", 415),
        ("c", b"nonsense", "multipart/form-data", 400),
        ("d", b"first_name=%ff", "application/x-www-form-urlencoded", 400),
    ):
        headers = {"Idempotency-Key": key}
        first, again = (
            sync.request("POST", "/public/leads", body, content_type, headers=headers) for _ in range(2)
        )
        assert first.status_code == status
        assert_again(again, first)
        assert_refused(post(sync, LEAD, key), 422, "idempotency_key_reused")
    assert not Lead.objects.exists()


def test_a_silent_202_is_given_again(client_with):
    form = client_with("leads:write")
    first = post(form)
    assert (first.status_code, first["Content-Type"]) == (202, "application/json")
    assert_again(post(form), first)
    assert Lead.objects.get().activities.count() == 1


def test_a_forms_boundary_is_not_its_body(sync):
    def send(boundary, name):
        body = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in {"first_name": name, "phone": "9876543210"}.items()
        )
        return sync.request(
            "POST", "/public/leads", f"{body}--{boundary}--\r\n", f"multipart/form-data; boundary={boundary}",
            headers={"Idempotency-Key": "k"},
        )  # fmt: skip

    first = send("one", "Asha")
    assert first.status_code == 201
    assert_again(send("two", "Asha"), first)
    assert_refused(send("one", "Usha"), 422, "idempotency_key_reused")


# ── What another one is ─────────────────────────────────────────────────────────────────────────────────────


def test_another_body_or_query_under_the_same_key_is_refused(sync):
    first = post(sync)
    assert_refused(post(sync, LEAD | {"last_name": "Nair"}), 422, "idempotency_key_reused")
    assert_refused(post(sync, path="/public/leads?x=1"), 422, "idempotency_key_reused")
    assert_again(post(sync), first)
    assert Lead.objects.count() == 1


def test_keys_paths_and_values_are_told_apart(sync, client_with):
    assert post(sync, key="A").status_code == 201
    assert post(sync, key="a").status_code == 409
    other = client_with("leads:read", "leads:write", "tags:read", "tags:write")
    assert post(other, LEAD | {"phone": "9876543211"}, "A").status_code == 201
    assert post(other, {"name": "Hot"}, "A", "/public/tags").status_code == 201
    assert IdempotencyRecord.objects.count() == 4


@pytest.mark.parametrize("value", ["", " ", "x" * 256, "é", "a\tb", "\x7f"])
def test_a_header_that_is_no_key_is_refused(sync, value):
    answer = sync.request("POST", "/public/leads", json.dumps(LEAD), headers={"Idempotency-Key": value})
    assert_refused(answer, 400, "invalid_idempotency_key")
    assert not Lead.objects.exists() and not IdempotencyRecord.objects.exists()


@pytest.mark.parametrize("value", ["x", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a b"])
def test_printable_text_is_a_key(sync, value):
    assert post(sync, key=value).status_code == 201


def test_only_post_knows_the_header(sync):
    lead = post(sync).json()
    path = f"/public/leads/{lead['id']}"
    assert sync.patch(path, {"last_name": "A"}, Idempotency_Key="k-2").status_code == 200
    assert sync.patch(path, {"last_name": "B"}, Idempotency_Key="k-2").json()["last_name"] == "B"
    assert sync.get(path, Idempotency_Key="k-2").status_code == 200
    answer = sync.request("POST", path, "{}", headers={"Idempotency-Key": "k-3"})
    assert answer.status_code == 405
    assert IdempotencyRecord.objects.count() == 1


# ── Who may have it again ───────────────────────────────────────────────────────────────────────────────────


def test_scopes_are_asked_for_again(sync):
    first = post(sync)
    set_scopes(key=sync.key, scopes=["leads:read"])
    assert_refused(post(sync), 403, "insufficient_scope")
    set_scopes(key=sync.key, scopes=["leads:write"])
    refused = assert_refused(post(sync), 403, "insufficient_scope")
    assert 'scope="leads:read"' in refused["WWW-Authenticate"]
    set_scopes(key=sync.key, scopes=["leads:read", "leads:write"])
    assert_again(post(sync), first)
    delete_key(key=sync.key)
    assert_refused(post(sync), 401, "invalid_token")


def test_who_gains_a_scope_learns_no_more_from_an_old_answer(client_with):
    client = client_with("tags:write")
    first = post(client, {"name": "Hot"}, path="/public/tags")
    set_scopes(key=client.key, scopes=["tags:read", "tags:write"])
    assert_again(post(client, {"name": "Hot"}, path="/public/tags"), first)


# ── What is not kept ────────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_scope_is_not_kept(client_with):
    client = client_with("leads:write")
    assert_refused(post(client, LEAD | {"status": "Busy"}), 403, "insufficient_scope")
    set_scopes(key=client.key, scopes=["leads:read"])
    assert_refused(post(client), 403, "insufficient_scope")
    assert not IdempotencyRecord.objects.exists()
    set_scopes(key=client.key, scopes=["leads:read", "leads:write"])
    assert post(client, LEAD | {"status": "Busy"}).status_code == 201


def test_too_many_requests_are_not_kept(client_with):
    client = client_with("leads:read", "leads:write", rate_limit=1)
    client.get("/public/me")
    assert_refused(post(client), 429, "rate_limited")
    APIKey.objects.update(rate_limit=0)
    assert post(client).status_code == 201


def test_a_crash_is_not_kept_and_leaves_nothing(sync, monkeypatch):
    picture_of = "leads.api.leads.LeadViewSet.picture_of"

    def crashes(self, pk):
        raise RuntimeError("after the lead was written")

    def is_away(self, pk):
        raise OperationalError("the database is gone")

    sync.raise_errors(False)
    for failure, status in ((crashes, 500), (is_away, 503)):
        with monkeypatch.context() as patched:
            patched.setattr(picture_of, failure)
            assert post(sync).status_code == status
        assert not Lead.objects.exists() and not IdempotencyRecord.objects.exists()
    assert post(sync).status_code == 201


def test_an_answer_that_cannot_be_kept_takes_the_write_with_it(sync, monkeypatch):
    def fails(self, answer):
        raise RuntimeError("no answer was kept")

    monkeypatch.setattr(idempotency.Claim, "keep", fails)
    sync.raise_errors(False)
    assert post(sync).status_code == 500
    assert not Lead.objects.exists() and not Event.objects.exists()


# ── Leases ──────────────────────────────────────────────────────────────────────────────────────────────────


def leave_running(client, monkeypatch):
    """As a worker leaves it that was killed at work: the lease is there and no answer."""
    with monkeypatch.context() as patched:
        patched.setattr(idempotency.Claim, "settle", lambda self, refusal: None)
        patched.setattr("leads.api.leads.LeadViewSet.picture_of", lambda self, pk: 1 / 0)
        client.raise_errors(False)
        post(client)
    assert IdempotencyRecord.objects.get().finished_at is None


def test_one_that_is_still_running_is_a_409_until_its_lease_ends(sync, monkeypatch):
    leave_running(sync, monkeypatch)
    assert assert_refused(post(sync), 409, "idempotency_key_in_use")["Retry-After"] == "1"
    assert_refused(post(sync, LEAD | {"last_name": "Nair"}), 422, "idempotency_key_reused")
    age(seconds=20)
    assert 30 <= int(assert_refused(post(sync), 409, "idempotency_key_in_use")["Retry-After"]) <= 40
    age(seconds=41)
    first = post(sync)
    assert (first.status_code, Lead.objects.count()) == (201, 1)
    assert_again(post(sync), first)


def test_who_was_overtaken_writes_nothing(sync, monkeypatch):
    picture_of = "leads.api.leads.LeadViewSet.picture_of"

    def slow(self, pk):
        IdempotencyRecord.objects.update(leased_until=timezone.now() + timedelta(seconds=90))  # another's now
        return {"id": pk, "version": 1}

    with monkeypatch.context() as patched:
        patched.setattr(picture_of, slow)
        assert_refused(post(sync), 409, "idempotency_key_in_use")
    assert not Lead.objects.exists() and not Event.objects.exists()


# ── A day later ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_kept_for_24_hours(sync):
    first = post(sync)
    age(hours=23, minutes=59)
    assert_again(post(sync), first)
    age(minutes=1)
    assert_refused(post(sync), 409, "duplicate_phone")
    assert IdempotencyRecord.objects.get().status == 409


def test_old_ones_are_pruned_in_batches(sync, monkeypatch):
    monkeypatch.setattr(idempotency, "PRUNED_AT_ONCE", 2)
    for number in range(5):
        post(sync, key=f"old-{number}")
    day = timedelta(hours=24)
    IdempotencyRecord.objects.update(
        created_at=timezone.now() - day, leased_until=timezone.now() - day + idempotency.LEASE
    )
    post(sync, key="young")
    prune_idempotency_records()
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["young"]
    assert idempotency.prune() == 0


def test_what_is_forgotten_is_no_deleted_resource(sync):
    post(sync)
    age(hours=25)
    assert idempotency.prune() == 1
    assert not Deletion.objects.exists()
