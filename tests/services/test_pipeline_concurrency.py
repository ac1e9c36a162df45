"""The pipeline's rules under real threads on real PostgreSQL: rivals never break what one alone would keep."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from leads.models import Lead, LeadStatus, Role, StatusRole, Tag, User
from leads.operations.assignment import assign_leads, spread_leads
from leads.operations.errors import DuplicatePhone, LastCompanyAdmin, LeadCapReached
from leads.operations.follow_ups import resolve_follow_up
from leads.operations.intake import create_lead, update_lead
from leads.operations.statuses import delete_status
from leads.operations.users import set_banned
from tests.leads.factories import CompanyAdminFactory, FollowUpFactory, LeadFactory, UserFactory, status_named
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What `work(0)` … `work(7)` give, or raise, when they start together, each on a connection of its own."""
    start = Barrier(THREADS)

    def run(number: int) -> Any:
        try:
            start.wait(10)
            return work(number)
        except Exception as error:  # noqa: BLE001  # handed to the test, which looks at it
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def test_a_cap_holds_when_eight_assign_at_once() -> None:
    agent = UserFactory(lead_cap=5)
    leads = LeadFactory.create_batch(THREADS)
    results = at_once(lambda number: assign_leads(leads=Lead.objects.filter(pk=leads[number].pk), to=agent))
    assert kinds(results) == {"int": 5, "LeadCapReached": 3}
    assert Lead.objects.filter(owner=agent, status__role=StatusRole.ASSIGNED).count() == 5
    assert Event.objects.filter(type="lead.assigned").count() == 5


def test_a_cap_holds_when_leads_come_in_are_changed_and_are_spread_at_once() -> None:
    agent, other = UserFactory(lead_cap=3), UserFactory()
    leads = LeadFactory.create_batch(THREADS)

    def work(number: int) -> Any:
        match number % 3:
            case 0:
                return create_lead(first_name="Asha", phone=f"98765432{number:02d}", owner=agent)
            case 1:
                return update_lead(lead=leads[number], changes={"owner": agent})
            case _:
                return spread_leads(leads=Lead.objects.filter(pk=leads[number].pk), over=[agent, other])

    results = at_once(work)
    assert kinds(results).keys() <= {"Lead", "Spread", "LeadCapReached"}
    assert Lead.objects.filter(owner=agent).count() == 3


def test_one_number_makes_one_lead_and_the_others_are_told_which() -> None:
    results = at_once(lambda number: create_lead(first_name=f"Asha {number}", phone="98765 43210"))
    lead = Lead.objects.get()
    assert kinds(results) == {"Lead": 1, "DuplicatePhone": THREADS - 1}
    assert {error.extra["existing_id"] for error in results if isinstance(error, DuplicatePhone)} == {lead.pk}
    assert Event.objects.filter(type="lead.created").count() == 1


def test_one_new_tag_is_made_once_by_all_who_name_it() -> None:
    results = at_once(
        lambda number: create_lead(first_name="A", phone=f"98765432{number:02d}", tags=["Hot", "EMI"])
    )
    assert kinds(results) == {"Lead": THREADS}
    assert sorted(Tag.objects.values_list("name", flat=True)) == ["EMI", "Hot"]
    assert all(lead.tags.count() == 2 for lead in Lead.objects.all())


def test_changes_of_different_fields_at_once_all_stay() -> None:
    lead = LeadFactory(first_name="Asha", last_name="", email="", source="")
    changes: list[Any] = [
        {"first_name": "Usha"},
        {"last_name": "Rao"},
        {"email": "usha@example.org"},
        {"source": "Referral"},
        {"owner": UserFactory()},
        {"add_tags": ["Hot"]},
        {"add_tags": ["EMI"]},
        {"phone": "9876500000"},
    ]
    results = at_once(lambda number: update_lead(lead=lead, changes=changes[number]))
    assert kinds(results) == {"Lead": THREADS}
    lead.refresh_from_db()
    told = (lead.first_name, lead.last_name, lead.email, lead.source, lead.phone, lead.status.name)
    assert told == ("Usha", "Rao", "usha@example.org", "Referral", "+919876500000", "Assigned")
    assert lead.tags.count() == 2
    assert Event.objects.filter(type="lead.updated").count() == THREADS


def test_a_status_goes_while_leads_come_in_and_none_is_left_without() -> None:
    busy, missed = status_named("Busy"), status_named("Missed")
    LeadFactory.create_batch(3, status=busy)

    def work(number: int) -> Any:
        if number == 0:
            return delete_status(status=LeadStatus.objects.get(pk=busy.pk), move_to=missed)
        return create_lead(first_name="Asha", phone=f"98765432{number:02d}", status=busy)

    results = at_once(work)
    assert isinstance(results[0], int)
    assert not Lead.objects.filter(status=busy).exists()
    made = sum(isinstance(result, Lead) for result in results)
    assert Lead.objects.filter(status=missed).count() == 3 + made


def test_a_follow_up_that_eight_resolve_is_resolved_once() -> None:
    follow_up = FollowUpFactory()
    at_once(lambda _: resolve_follow_up(follow_up=follow_up))
    assert Event.objects.filter(type="followup.completed").count() == 1


def test_admins_who_ban_each_other_at_once_leave_one() -> None:
    admins = CompanyAdminFactory.create_batch(THREADS)
    results = at_once(lambda number: set_banned(users=[admins[number]], banned=True))
    assert sum(isinstance(result, LastCompanyAdmin) for result in results) == 1
    assert User.objects.filter(role=Role.COMPANY_ADMIN, is_active=True).count() == 1


def test_assignments_the_other_way_round_do_not_deadlock() -> None:
    agents = UserFactory.create_batch(2, lead_cap=100)
    leads = LeadFactory.create_batch(20)
    pks = [lead.pk for lead in leads]

    def work(number: int) -> Any:
        mine = pks if number % 2 else list(reversed(pks))
        return assign_leads(leads=Lead.objects.filter(pk__in=mine), to=agents[number % 2])

    results = at_once(work)
    assert kinds(results) == {"int": THREADS}
    assert not isinstance(results[0], LeadCapReached)
    assert Lead.objects.filter(owner__in=agents).count() == 20
