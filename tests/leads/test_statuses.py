"""The pipeline: moving leads through it, and changing it."""

import pytest
from django.db.models.deletion import ProtectedError

from leads.models import Activity, Lead, LeadStatus, StatusRole
from leads.models.status import StatusProtected
from leads.operations.errors import DuplicateName, InvalidName, InvalidPipeline, LeadCapReached, StatusInUse
from leads.operations.statuses import (
    change_status,
    create_status,
    delete_status,
    rename_status,
    reorder_statuses,
)
from tests.leads.factories import CustomerFactory, LeadFactory, UserFactory, status_named, status_of

pytestmark = pytest.mark.django_db
PROTECTED = [StatusRole.UNASSIGNED, StatusRole.FOLLOWUPS, StatusRole.CUSTOMER]


def test_leads_move_and_their_timelines_tell() -> None:
    lead, there = LeadFactory(), LeadFactory(status=status_named("Busy"))
    assert change_status(leads=Lead.objects.all(), to=status_named("Busy")) == 1
    lead.refresh_from_db()
    assert lead.status.name == "Busy"
    line = Activity.objects.get()
    assert (line.lead_id, line.kind) == (lead.pk, "status_changed")
    assert line.data["from"]["name"] == "Unassigned" and line.data["to"]["name"] == "Busy"
    there.refresh_from_db()
    assert there.version == 1


def test_moving_to_customer_converts_and_away_from_it_un_converts() -> None:
    lead = LeadFactory()
    change_status(leads=Lead.objects.all(), to=status_of(StatusRole.CUSTOMER))
    lead.refresh_from_db()
    assert lead.converted_at is not None
    change_status(leads=Lead.objects.all(), to=status_named("Interested"))
    lead.refresh_from_db()
    assert lead.converted_at is None


def test_customers_do_not_return_to_an_agent_who_is_full() -> None:
    agent = UserFactory(lead_cap=1)
    LeadFactory(owner=agent)
    customer = CustomerFactory(owner=agent)
    with pytest.raises(LeadCapReached):
        change_status(leads=Lead.objects.all(), to=status_named("Interested"))
    customer.refresh_from_db()
    assert customer.status.role == StatusRole.CUSTOMER
    assert Lead.objects.filter(status=status_named("Interested")).count() == 0


def test_a_customer_returns_to_a_banned_owner() -> None:
    CustomerFactory(owner=UserFactory(is_active=False, lead_cap=5))
    assert change_status(leads=Lead.objects.all(), to=status_named("Interested")) == 1


def test_a_new_status_comes_last_and_its_name_is_unique_without_regard_to_case() -> None:
    assert create_status(name=" Call  later ").name == "Call later"
    assert LeadStatus.objects.last().name == "Call later"
    with pytest.raises(DuplicateName) as refused:
        create_status(name="CALL LATER")
    assert refused.value.extra == {"existing_id": status_named("Call later").pk}
    for name in ("", "   ", "x" * 101, "a\x00b"):
        with pytest.raises(InvalidName):
            create_status(name=name)
    assert LeadStatus.objects.count() == 11


def test_a_rename_is_in_place_and_changes_no_lead() -> None:
    lead = LeadFactory(status=status_named("Busy"))
    rename_status(status=status_named("Busy"), name="Engaged")
    lead.refresh_from_db()
    assert (lead.status.name, lead.version) == ("Engaged", 1)
    assert rename_status(status=status_of(StatusRole.ASSIGNED), name="With an agent").name == "With an agent"
    with pytest.raises(DuplicateName):
        rename_status(status=lead.status, name="missed")


@pytest.mark.parametrize("role", PROTECTED)
def test_protected_statuses_are_neither_renamed_nor_deleted(role: StatusRole) -> None:
    status = status_of(role)
    with pytest.raises(StatusProtected):
        rename_status(status=status, name="Other")
    with pytest.raises(StatusProtected):
        delete_status(status=status)
    status.refresh_from_db()
    assert status.role == role and LeadStatus.objects.count() == 10


def test_the_pipeline_is_put_in_order() -> None:
    ids = list(LeadStatus.objects.values_list("pk", flat=True))
    reorder_statuses(order=[ids[-1], *ids[:-1]])
    assert list(LeadStatus.objects.values_list("pk", flat=True)) == [ids[-1], *ids[:-1]]
    for order in (ids[:-1], [*ids, ids[0]], [*ids[:-1], 999_999]):
        with pytest.raises(InvalidPipeline):
            reorder_statuses(order=order)


def test_a_status_without_leads_is_deleted() -> None:
    assert delete_status(status=status_named("Missed")) == 0
    assert not LeadStatus.objects.filter(name="Missed").exists()


def test_a_status_with_leads_goes_only_with_a_word_on_where_they_go() -> None:
    busy = status_named("Busy")
    lead = LeadFactory(status=busy)
    for nowhere in (None, busy):
        with pytest.raises(StatusInUse, match="has 1 lead:") as refused:
            delete_status(status=busy, move_to=nowhere)
        assert refused.value.extra == {"leads": 1}
    assert delete_status(status=busy, move_to=status_named("Missed")) == 1
    lead.refresh_from_db()
    assert lead.status.name == "Missed" and not LeadStatus.objects.filter(name="Busy").exists()


def test_no_way_of_deleting_leaves_a_lead_without_a_status() -> None:
    lead = LeadFactory(status=status_named("Busy"))
    with pytest.raises(ProtectedError):
        lead.status.delete()
    assert Lead.objects.filter(status__name="Busy").exists()
