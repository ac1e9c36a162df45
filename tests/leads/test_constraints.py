"""What must never be false, the database itself refuses, whoever writes."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from apikeys.models import APIKey
from leads.models import Call, Campaign, ExternalId, FollowUp, Lead, LeadStatus, LeadTag, Note, Tag, User
from leads.models.status import StatusProtected
from webhooks.models import Delivery, Event, Webhook

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def rows() -> dict[str, models.Model]:
    status = LeadStatus.objects.get(role="unassigned")
    user = User.objects.create(username="ravi", name="Ravi", email="ravi@example.com", employee_code="E1")
    lead = Lead.objects.create(first_name="Asha", phone="+919800000001", status=status)
    tag = Tag.objects.create(name="hot")
    LeadTag.objects.create(lead=lead, tag=tag)
    key = APIKey.objects.create(name="Zoho", digest="a" * 64, prefix="cly_live_abcd")
    made: dict[str, models.Model] = {
        "status": status,
        "user": user,
        "lead": lead,
        "tag": tag,
        "key": key,
        "campaign": Campaign.objects.create(name="Diwali", starts_on=NOW.date()),
        "call": Call.objects.create(lead=lead, status="called", started_at=NOW),
        "follow_up": FollowUp.objects.create(lead=lead, due_at=NOW),
        "note": Note.objects.create(lead=lead, text="hello"),
        "external_id": ExternalId.objects.create(lead=lead, api_key_id=key.pk, value="Z-1"),
        "webhook": Webhook.objects.create(api_key=key, url="https://example.com", events=["lead.updated"]),
    }
    lead.last_name = "Rao"
    lead.save()
    made["delivery"] = Delivery.objects.get()
    made["event"] = Event.objects.latest("id")
    return made


FALSE_ROWS = [
    ("lead", {"phone": "9800000001"}),
    ("lead", {"first_name": ""}),
    ("lead", {"amount": -1}),
    ("lead", {"payment_status": "maybe"}),
    ("status", {"name": "Inbox"}),
    ("status", {"name": ""}),
    ("user", {"role": "owner"}),
    ("tag", {"name": ""}),
    ("campaign", {"ends_on": NOW.date() - timedelta(days=1)}),
    ("campaign", {"status": "secret"}),
    ("call", {"ended_at": NOW - timedelta(seconds=1)}),
    ("call", {"status": "ringing"}),
    ("call", {"direction": "sideways"}),
    ("call", {"completed_at": None}),
    ("note", {"text": ""}),
    ("external_id", {"value": ""}),
    ("key", {"name": ""}),
    ("key", {"prefix": "sk_live_abcd"}),
    ("webhook", {"url": ""}),
    ("webhook", {"ordering": "random"}),
    ("webhook", {"active": False}),
    ("webhook", {"off_reason": "gone"}),
    ("delivery", {"state": "lost"}),
    ("delivery", {"state": "delivered"}),
    ("delivery", {"next_attempt_at": None}),
    ("delivery", {"state": "delivered", "finished_at": NOW}),
]


@pytest.mark.parametrize(
    "name, values", FALSE_ROWS, ids=[f"{name}-{'-'.join(values)}" for name, values in FALSE_ROWS]
)
def test_the_database_refuses_a_row_that_is_false(rows, name, values):
    row = rows[name]
    before = type(row)._base_manager.filter(pk=row.pk).values().get()
    with pytest.raises(IntegrityError), transaction.atomic():
        # Django's own update: nothing of ours stands between.
        models.QuerySet.update(type(row)._base_manager.filter(pk=row.pk), **values)
    assert type(row)._base_manager.filter(pk=row.pk).values().get() == before


TWINS = [
    ("lead", {"phone": "+919800000001"}),
    ("status", {"role": "unassigned"}),
    ("status", {"name": "uNASSIGNED", "role": ""}),
    ("tag", {"name": "HOT"}),
    ("user", {"username": "RAVI", "email": "other@example.com", "employee_code": ""}),
    ("user", {"username": "other", "email": "Ravi@Example.com", "employee_code": ""}),
    ("user", {"username": "other", "email": "", "employee_code": "E1"}),
    ("key", {"name": "other"}),
    ("key", {"digest": "b" * 64, "name": "ZOHO"}),
    ("external_id", {"value": "Z-2"}),
    ("event", {}),
]


@pytest.mark.parametrize("name, values", TWINS, ids=[f"{name}-{'-'.join(values)}" for name, values in TWINS])
def test_the_database_refuses_a_twin(rows, name, values):
    row = rows[name]
    manager = type(row)._base_manager
    twin = {
        field.name: getattr(row, field.name) for field in row._meta.concrete_fields if not field.primary_key
    }
    count = manager.count()
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet.bulk_create(models.QuerySet(type(row)), [type(row)(**{**twin, **values})])
    assert manager.count() == count


def test_one_external_id_belongs_to_one_lead_of_a_key(rows):
    other = Lead.objects.create(first_name="Imran", phone="+919800000002", status=rows["status"])
    with pytest.raises(IntegrityError), transaction.atomic():
        ExternalId.objects.create(lead=other, api_key_id=rows["key"].pk, value="Z-1")
    ExternalId.objects.create(lead=other, api_key_id=rows["key"].pk + 1, value="Z-1")


@pytest.mark.parametrize("role", ["unassigned", "followups", "customer"])
def test_a_protected_status_is_never_deleted(role):
    status = LeadStatus.objects.get(role=role)
    for delete in (status.delete, LeadStatus.objects.filter(pk=status.pk).delete):
        with pytest.raises(StatusProtected):
            delete()
    assert LeadStatus.objects.count() == 10


def test_a_status_with_leads_is_not_deleted(rows):
    assigned = LeadStatus.objects.get(role="assigned")
    Lead.objects.update(status=assigned)
    with pytest.raises(models.ProtectedError):
        assigned.delete()


def test_times_are_stored_in_whole_milliseconds_by_every_way_of_writing(rows):
    fine = NOW.replace(microsecond=123_987)
    call = Call.objects.create(lead=rows["lead"], status="called", started_at=fine)
    FollowUp.objects.update(due_at=fine)
    Call.objects.bulk_create([Call(lead=rows["lead"], status="called", started_at=fine)])
    call.refresh_from_db()
    stored = {call.started_at, *FollowUp.objects.values_list("due_at", flat=True)}
    stored |= set(Call.objects.filter(pk__gt=call.pk).values_list("started_at", flat=True))
    assert {moment.microsecond for moment in stored} == {123_000}
