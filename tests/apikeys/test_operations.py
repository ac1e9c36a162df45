"""What may be done to a key, that each deed is audited, and that no token is ever written down."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apikeys import operations, tokens
from apikeys.errors import (
    BadAddress,
    BadExpiry,
    BadName,
    BadOrigin,
    BadRateLimit,
    BrowserKeyTooWide,
    NameTaken,
    UnknownScope,
)
from apikeys.models import APIKey, AuditEntry
from apikeys.scopes import Scope
from calliyo.actor import Actor, ActorType, acting_as

ADMIN = Actor(type=ActorType.USER, id=7, name="Asha Nair", request_id="req_1")


def audited():
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


@pytest.fixture
def minted(db):
    return operations.create_api_key(name="Zoho production", scopes=["leads:write", "leads:read"])


def test_a_key_is_made_with_what_was_asked_and_who_asked(db):
    with acting_as(ADMIN):
        minted = operations.create_api_key(
            name="  Zoho production ",
            scopes=["tags:read", "leads:read", "tags:read"],
            expires_at=timezone.now() + timedelta(days=30),
            rate_limit=0,
            allowed_addresses=["203.0.113.0/24", "2001:db8::1"],
            manage_webhooks=True,
        )
    key = APIKey.objects.get()
    assert key.name == "Zoho production"
    assert key.scopes == ["leads:read", "tags:read"]
    assert key.digest == tokens.digest(minted.token)
    assert key.prefix == minted.token[:13]
    assert key.allowed_addresses == ["2001:db8::1/128", "203.0.113.0/24"]
    assert (key.active, key.manage_webhooks, key.rate_limit, key.version) == (True, True, 0, 1)
    assert (key.created_by_type, key.created_by_id, key.created_by_name) == ("user", 7, "Asha Nair")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.api_key_id, entry.api_key_name) == ("api_key.created", key.pk, key.name)
    assert (entry.actor_type, entry.actor_id, entry.actor_name) == ("user", 7, "Asha Nair")
    assert entry.request_id == "req_1"
    assert entry.data["scopes"] == ["leads:read", "tags:read"]
    assert entry.data["allowed_addresses"] == key.allowed_addresses
    assert entry.data["manage_webhooks"] is True


def test_no_scope_means_no_access(db):
    assert operations.create_api_key(name="Nothing yet").key.scopes == []


def test_no_token_and_no_digest_is_ever_written_down(minted, caplog):
    again = operations.regenerate_token(key=minted.key)
    operations.rename_key(key=minted.key, name="Other")
    operations.delete_key(key=minted.key)
    written = [str(row) for row in AuditEntry.objects.values()] + [repr(minted), repr(again), caplog.text]
    for secret in (minted.token, again.token, tokens.digest(minted.token), tokens.digest(again.token)):
        assert not any(secret in text for text in written)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": ""}, BadName),
        ({"name": "   "}, BadName),
        ({"name": "x" * 101}, BadName),
        ({"name": "a\0b"}, BadName),
        ({"name": "a\nb"}, BadName),
        ({"name": "a\u202eb"}, BadName),
        ({"name": "\N{ZERO WIDTH JOINER} "}, BadName),
        ({"scopes": ["calls:write"]}, UnknownScope),
        ({"scopes": ["*"]}, UnknownScope),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, BadExpiry),
        ({"rate_limit": -1}, BadRateLimit),
        ({"rate_limit": 10**9}, BadRateLimit),
        ({"allowed_addresses": ["203.0.113.5/24"]}, BadAddress),  # host bits: a slip
        ({"allowed_addresses": ["everywhere"]}, BadAddress),
        ({"allowed_origins": ["www.example.com"]}, BadOrigin),
        ({"allowed_origins": ["https://www.example.com/form"]}, BadOrigin),
        ({"allowed_origins": ["https://user@example.com"]}, BadOrigin),
        ({"allowed_origins": ["https://example.com:99999"]}, BadOrigin),
        ({"allowed_origins": ["*"]}, BadOrigin),
        ({"allowed_origins": ["null"]}, BadOrigin),
        ({"allowed_origins": ["https://a.example"], "scopes": ["leads:read"]}, BrowserKeyTooWide),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(db, options, error):
    with pytest.raises(error) as raised:
        operations.create_api_key(**{"name": "Zoho", **options})
    assert raised.value.field in {"name", *options}
    assert not APIKey.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_browser_key_may_write_leads_and_never_more(db):
    key = operations.create_api_key(
        name="Form",
        scopes=["leads:write"],
        allowed_origins=["https://WWW.example.com", "http://[::1]:8000"],
    ).key
    assert key.allowed_origins == ["http://[::1]:8000", "https://www.example.com"]
    with pytest.raises(BrowserKeyTooWide):
        operations.set_scopes(key=key, scopes=["leads:write", "leads:read"])
    assert APIKey.objects.get().scopes == ["leads:write"]
    assert audited() == ["api_key.created"]


def test_a_name_is_taken_whatever_its_case(minted):
    with pytest.raises(NameTaken) as raised:
        operations.create_api_key(name="ZOHO Production")
    assert (raised.value.code, raised.value.field) == ("duplicate_name", "name")
    other = operations.create_api_key(name="Looker").key
    with pytest.raises(NameTaken):
        operations.rename_key(key=other, name="zoho production")
    assert APIKey.objects.count() == 2
    # A key may always keep its own name, spelled otherwise.
    assert operations.rename_key(key=other, name="LOOKER").name == "LOOKER"


def test_the_database_refuses_a_name_twice_too(minted):
    token = tokens.mint()
    with pytest.raises(IntegrityError, match="api_key_name_unique"), transaction.atomic():
        APIKey.objects.create(name="zoho PRODUCTION", digest=token.digest, prefix=token.prefix)


@pytest.mark.django_db(transaction=True)
def test_two_who_take_a_name_at_once_get_one_key_and_one_clear_refusal():
    outcomes = []
    barrier = threading.Barrier(2)

    def create():
        barrier.wait()
        try:
            operations.create_api_key(name="Zoho")
            outcomes.append("made")
        except NameTaken:
            outcomes.append("taken")
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "taken"]
    assert APIKey.objects.count() == AuditEntry.objects.count() == 1


def test_the_constraint_speaks_where_the_look_up_came_too_early(minted, monkeypatch):
    """The race without threads: the look-up sees nothing, the insert is refused by the constraint."""
    monkeypatch.setattr(operations, "_has_name", lambda key: False)
    with pytest.raises(NameTaken):
        operations.create_api_key(name="ZOHO production")
    assert APIKey.objects.count() == 1


def test_regenerate_keeps_all_but_the_token(minted):
    again = operations.regenerate_token(key=minted.key)
    assert again.token != minted.token
    key = APIKey.objects.get()
    assert (key.pk, key.name, key.scopes) == (minted.key.pk, "Zoho production", ["leads:read", "leads:write"])
    assert key.digest == tokens.digest(again.token)
    assert key.version == 2
    entry = AuditEntry.objects.first()
    assert entry.action == "api_key.regenerated"
    assert entry.data == {"prefix": {"from": minted.token[:13], "to": again.token[:13]}}


def test_switching_twice_is_written_once(minted):
    assert operations.deactivate_key(key=minted.key).active is False
    assert operations.deactivate_key(key=minted.key).active is False
    assert operations.activate_key(key=minted.key).active is True
    assert operations.activate_key(key=minted.key).active is True
    assert audited() == ["api_key.created", "api_key.deactivated", "api_key.activated"]
    assert APIKey.objects.get().version == 3


def test_a_change_that_changes_nothing_leaves_no_trace(minted):
    operations.set_scopes(key=minted.key, scopes=list(reversed(minted.key.scopes)))
    operations.rename_key(key=minted.key, name=minted.key.name)
    operations.set_expiry(key=minted.key, expires_at=None)
    assert audited() == ["api_key.created"]
    assert APIKey.objects.get().version == 1


def test_changes_are_audited_with_both_values(minted):
    operations.set_scopes(key=minted.key, scopes=[Scope.TAGS_READ])
    assert AuditEntry.objects.first().data == {
        "scopes": {"from": ["leads:read", "leads:write"], "to": ["tags:read"]}
    }
    at = timezone.now().replace(microsecond=0) + timedelta(days=1)
    operations.set_expiry(key=minted.key, expires_at=at)
    assert AuditEntry.objects.first().data == {"expires_at": {"from": None, "to": at.isoformat()}}
    operations.set_limits(
        key=minted.key, rate_limit=60, allowed_addresses=[], allowed_origins=[], manage_webhooks=False
    )
    assert AuditEntry.objects.first().data == {"rate_limit": {"from": None, "to": 60}}


def test_a_stale_instance_overwrites_nothing(minted):
    stale = APIKey.objects.get()
    operations.set_scopes(key=minted.key, scopes=["tags:read"])
    operations.deactivate_key(key=stale)
    assert APIKey.objects.get().scopes == ["tags:read"]


def test_a_deleted_key_is_gone_and_its_audit_stays(minted):
    operations.delete_key(key=minted.key)
    assert not APIKey.objects.exists()
    entry = AuditEntry.objects.first()
    assert (entry.action, entry.api_key_id, entry.api_key_name) == (
        "api_key.deleted",
        minted.key.pk,
        "Zoho production",
    )
