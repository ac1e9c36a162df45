"""Promises to call again."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from leads.models import Activity, FollowUp, Lead, StatusRole
from leads.operations.errors import OwnerBanned
from leads.operations.follow_ups import (
    day_bounds,
    delete_follow_up,
    reopen_follow_up,
    reschedule_follow_up,
    resolve_follow_up,
    schedule_follow_up,
    update_follow_up,
)
from tests.leads.factories import CustomerFactory, FollowUpFactory, LeadFactory, UserFactory, status_of

DUE = datetime(2030, 1, 2, 6, 30, tzinfo=UTC)


@pytest.mark.django_db
class TestFollowUps:
    def test_scheduling_moves_the_lead_to_followups_and_is_the_owners(self) -> None:
        lead = LeadFactory(owner=UserFactory())
        follow_up = schedule_follow_up(lead=lead, due_at=DUE, note=" Call after lunch ")
        assert (follow_up.owner, follow_up.note, follow_up.due_at) == (lead.owner, "Call after lunch", DUE)
        lead.refresh_from_db()
        assert lead.status.role == StatusRole.FOLLOWUPS
        assert Activity.objects.get().kind == "status_changed"

    def test_a_customer_stays_a_customer(self) -> None:
        customer = CustomerFactory()
        schedule_follow_up(lead=customer, due_at=DUE)
        customer.refresh_from_db()
        assert customer.status.role == StatusRole.CUSTOMER and customer.version == 1

    def test_a_lead_in_followups_does_not_change(self) -> None:
        lead = LeadFactory(status=status_of(StatusRole.FOLLOWUPS))
        schedule_follow_up(lead=lead, due_at=DUE)
        lead.refresh_from_db()
        assert lead.version == 1 and not Activity.objects.exists()

    def test_another_owner_may_be_named_but_no_banned_one(self) -> None:
        other = UserFactory()
        assert schedule_follow_up(lead=LeadFactory(), due_at=DUE, owner=other).owner == other
        with pytest.raises(OwnerBanned):
            schedule_follow_up(lead=LeadFactory(), due_at=DUE, owner=UserFactory(is_active=False))
        assert FollowUp.objects.count() == 1

    def test_a_lead_that_is_gone_gets_none(self) -> None:
        lead = LeadFactory()
        Lead.objects.filter(pk=lead.pk).delete()
        with pytest.raises(Lead.DoesNotExist):
            schedule_follow_up(lead=lead, due_at=DUE)

    def test_resolving_twice_is_resolving_once(self) -> None:
        follow_up = FollowUpFactory()
        first = resolve_follow_up(follow_up=follow_up)
        assert first.resolved_at is not None and first.version == 2
        assert resolve_follow_up(follow_up=follow_up).version == 2
        assert reopen_follow_up(follow_up=follow_up).resolved_at is None
        assert Activity.objects.get().kind == "follow_up_reopened"

    def test_rescheduling_is_told_in_the_timeline(self) -> None:
        follow_up = FollowUpFactory(due_at=DUE)
        reschedule_follow_up(follow_up=follow_up, due_at=DUE + timedelta(days=1))
        assert Activity.objects.get().data == {
            "id": follow_up.pk,
            "from": "2030-01-02T06:30:00.000Z",
            "to": "2030-01-03T06:30:00.000Z",
        }

    def test_a_change_writes_what_it_names_and_no_other(self) -> None:
        follow_up = FollowUpFactory(note="Old")
        stale = FollowUp.objects.get(pk=follow_up.pk)
        update_follow_up(follow_up=follow_up, changes={"note": "New"})
        changed = update_follow_up(follow_up=stale, changes={"owner": None, "resolved": True})
        assert (changed.note, changed.owner, changed.version) == ("New", None, 3)
        assert update_follow_up(follow_up=stale, changes={"note": "New"}).version == 3
        with pytest.raises(OwnerBanned):
            update_follow_up(follow_up=stale, changes={"owner": UserFactory(is_active=False)})

    def test_deleting_leaves_the_leads_status(self) -> None:
        lead = LeadFactory()
        delete_follow_up(follow_up=schedule_follow_up(lead=lead, due_at=DUE))
        lead.refresh_from_db()
        assert lead.status.role == StatusRole.FOLLOWUPS and not FollowUp.objects.exists()


def test_a_day_is_the_companys_and_has_23_hours_where_clocks_change() -> None:
    start, end = day_bounds(date(2026, 11, 24), ZoneInfo("Asia/Kolkata"))
    assert (start.isoformat(), end.isoformat()) == ("2026-11-23T18:30:00+00:00", "2026-11-24T18:30:00+00:00")
    start, end = day_bounds(date(2026, 3, 29), ZoneInfo("Europe/Berlin"))
    assert end - start == timedelta(hours=23)
