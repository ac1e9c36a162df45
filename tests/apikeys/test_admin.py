"""Keys, audit and kept answers in the admin: company admins read them, nobody writes them, no digest is shown."""

import pytest
from django.test import Client
from django.utils import timezone

from apikeys.models import APIKey, AuditEntry, IdempotencyRecord, KeyUsage, RefusedCall
from apikeys.operations import create_api_key, set_scopes
from calliyo.pages.wording import exact
from tests.leads.factories import CompanyAdminFactory, UserFactory


@pytest.fixture
def minted(db):
    return create_api_key(name="Zoho production", scopes=["leads:read"])


@pytest.fixture
def record(minted):
    now = timezone.now()
    return IdempotencyRecord.objects.create(
        api_key_id=minted.key.pk,
        method="POST",
        path="/public/webhooks",
        key="abc",
        request_hash="0" * 64,
        created_at=now,
        leased_until=now,
        status=201,
        body=b'{"secret": "whsec_kept"}',
        headers={"X-Kept": "whsec_kept"},
        finished_at=now,
    )


@pytest.fixture
def desk(db):
    client = Client()
    client.force_login(CompanyAdminFactory())
    return client


def pages(minted, record):
    entry = AuditEntry.objects.get()
    usage, _ = KeyUsage.objects.get_or_create(
        api_key_id=minted.key.pk,
        day=timezone.now().date(),
        resource="leads",
        access="read",
        result="ok",
        calls=7,
    )
    call, _ = RefusedCall.objects.get_or_create(
        api_key_id=minted.key.pk, at=record.created_at, method="GET", path="/public/leads", status=403
    )
    rows = {"apikey": minted.key, "auditentry": entry, "idempotencyrecord": record}
    for model, row in (rows | {"keyusage": usage, "refusedcall": call}).items():
        yield f"/admin/apikeys/{model}/"
        yield f"/admin/apikeys/{model}/{row.pk}/change/"


def test_a_company_admin_reads_them_without_token_digest_or_kept_answer(desk, minted, record):
    for path in pages(minted, record):
        page = desk.get(path)
        assert page.status_code == 200, path
        for secret in (minted.token, minted.key.digest, "whsec_kept"):
            assert secret not in page.content.decode(), path


def test_nobody_writes_them_here(desk, minted, record):
    for model, row in (("apikey", minted.key), ("idempotencyrecord", record)):
        base = f"/admin/apikeys/{model}"
        assert desk.get(f"{base}/add/").status_code == 403
        assert desk.post(f"{base}/{row.pk}/change/", {"name": "Other"}).status_code == 403
        assert desk.post(f"{base}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert APIKey.objects.get().name == "Zoho production"
    assert IdempotencyRecord.objects.exists()


def test_agents_do_not_see_them(minted, record):
    client = Client()
    client.force_login(UserFactory())
    for path in pages(minted, record):
        assert client.get(path).status_code in {302, 403}


def test_the_list_shows_scopes_and_times_as_the_settings_write_them(desk, minted):
    set_scopes(key=minted.key, scopes=["leads:read", "notes:write"])
    used = timezone.now()
    APIKey.objects.filter(pk=minted.key.pk).update(last_used_at=used)
    page = desk.get("/admin/apikeys/apikey/").content.decode()
    assert '<td class="field-scopes_in_a_row">leads:read, notes:write</td>' in page
    assert f'<td class="field-last_used_at nowrap">{exact(used).rpartition(":")[0]}</td>' in page
