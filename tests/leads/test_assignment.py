"""Owners: one lead, many at once, many spread evenly; never over a cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leads.models import Activity, Lead, StatusRole
from leads.operations.assignment import _dealt, _Held, assign_leads, spread_leads
from leads.operations.errors import LeadCapReached, NobodyToAssign, OwnerBanned
from tests.leads.factories import CustomerFactory, LeadFactory, UserFactory, status_named, status_of


@pytest.mark.django_db
class TestAssign:
    def test_unassigned_leads_move_to_assigned_and_others_stay(self) -> None:
        agent = UserFactory()
        LeadFactory.create_batch(2)
        busy = LeadFactory(status=status_named("Busy"))
        assert assign_leads(leads=Lead.objects.all(), to=agent) == 3
        assert Lead.objects.filter(owner=agent, status=status_of(StatusRole.ASSIGNED)).count() == 2
        busy.refresh_from_db()
        assert (busy.owner, busy.status.name, busy.version) == (agent, "Busy", 2)
        assert Activity.objects.filter(kind="owner_changed").count() == 3
        assert Activity.objects.filter(kind="status_changed").count() == 2

    def test_who_has_the_lead_already_gets_it_not_again(self) -> None:
        agent = UserFactory(lead_cap=1)
        lead = LeadFactory(owner=agent)
        assert assign_leads(leads=Lead.objects.all(), to=agent) == 0
        lead.refresh_from_db()
        assert lead.version == 1 and not Activity.objects.exists()

    def test_leads_can_be_taken_from_everybody(self) -> None:
        agent = UserFactory(name="Farheen Shaikh")
        lead = LeadFactory(owner=agent, status=status_of(StatusRole.ASSIGNED))
        assert assign_leads(leads=Lead.objects.all(), to=None) == 1
        lead.refresh_from_db()
        assert (lead.owner, lead.status.role) == (None, StatusRole.ASSIGNED)
        assert Activity.objects.get().data == {"from": {"id": agent.pk, "name": "Farheen Shaikh"}, "to": None}

    def test_more_than_the_cap_is_refused_and_nothing_is_assigned(self) -> None:
        agent = UserFactory(lead_cap=3)
        LeadFactory(owner=agent)
        CustomerFactory(owner=agent)
        LeadFactory.create_batch(3)
        with pytest.raises(LeadCapReached, match="may hold 3 leads and holds 1: 3 more") as refused:
            assign_leads(leads=Lead.objects.filter(owner=None), to=agent)
        assert refused.value.extra == {"lead_cap": 3, "room": 2}
        assert Lead.objects.filter(owner=agent).count() == 2 and not Activity.objects.exists()

    def test_customers_take_no_room(self) -> None:
        agent = UserFactory(lead_cap=0)
        CustomerFactory.create_batch(2)
        assert assign_leads(leads=Lead.objects.all(), to=agent) == 2

    def test_a_banned_user_gets_none(self) -> None:
        LeadFactory()
        with pytest.raises(OwnerBanned):
            assign_leads(leads=Lead.objects.all(), to=UserFactory(is_active=False))
        assert not Lead.objects.exclude(owner=None).exists()

    def test_many_leads_cost_a_fixed_number_of_statements(self, django_assert_max_num_queries) -> None:
        agent = UserFactory(lead_cap=100)
        LeadFactory.create_batch(5)
        with django_assert_max_num_queries(60) as few:
            assign_leads(leads=Lead.objects.all(), to=agent)
        Lead.objects.all().delete()
        LeadFactory.create_batch(50)
        with django_assert_max_num_queries(len(few)):
            assign_leads(leads=Lead.objects.all(), to=agent)


@pytest.mark.django_db
class TestSpread:
    def test_leads_are_dealt_out_evenly(self) -> None:
        agents = UserFactory.create_batch(3)
        LeadFactory.create_batch(8)
        spread = spread_leads(leads=Lead.objects.all(), over=agents)
        assert sorted(spread.assigned.values()) == [2, 3, 3] and spread.leads == 8
        assert Lead.objects.filter(status=status_of(StatusRole.ASSIGNED)).exclude(owner=None).count() == 8

    def test_an_agent_with_little_room_gets_what_fits_and_the_others_the_rest(self) -> None:
        full, free = UserFactory(lead_cap=2), UserFactory()
        LeadFactory(owner=full, status=status_named("Busy"))
        LeadFactory.create_batch(6)
        spread = spread_leads(leads=Lead.objects.filter(owner=None), over=[full, free])
        assert spread.assigned == {full.pk: 1, free.pk: 5}

    def test_leads_that_are_dealt_anew_make_room_first(self) -> None:
        one, two = UserFactory(lead_cap=2), UserFactory(lead_cap=2)
        LeadFactory.create_batch(2, owner=one)
        LeadFactory.create_batch(2)
        assert spread_leads(leads=Lead.objects.all(), over=[one, two]).assigned == {one.pk: 2, two.pk: 2}

    def test_too_many_for_all_are_refused_and_nothing_is_assigned(self) -> None:
        LeadFactory.create_batch(4)
        with pytest.raises(LeadCapReached, match="room for 3 of these 4") as refused:
            spread_leads(leads=Lead.objects.all(), over=[UserFactory(lead_cap=1), UserFactory(lead_cap=2)])
        assert refused.value.extra == {"room": 3}
        assert not Lead.objects.exclude(owner=None).exists()

    def test_nobody_to_spread_over_is_refused(self) -> None:
        with pytest.raises(NobodyToAssign):
            spread_leads(leads=Lead.objects.all(), over=[])


@given(
    customers=st.lists(st.booleans(), max_size=40),
    caps=st.dictionaries(st.integers(1, 9), st.none() | st.integers(0, 8), min_size=1, max_size=6),
)
def test_dealing_keeps_every_cap_and_gives_nobody_two_more_than_another_with_room(
    customers: list[bool], caps: dict[int, int | None]
) -> None:
    held = [
        _Held(pk=pk, owner_id=None, status_id=1, role="customer" if is_customer else "")
        for pk, is_customer in enumerate(customers)
    ]
    active = sum(not is_customer for is_customer in customers)
    fits = any(cap is None for cap in caps.values()) or sum(cap or 0 for cap in caps.values()) >= active
    try:
        to = _dealt(held, dict(caps))
    except LeadCapReached:
        assert not fits
        return
    assert fits and to.keys() == {lead.pk for lead in held}
    got = {pk: sum(1 for lead in held if to[lead.pk] == pk and lead.role != "customer") for pk in caps}
    assert all(cap is None or got[pk] <= cap for pk, cap in caps.items())
    if not any(customers):
        with_room = [got[pk] for pk, cap in caps.items() if cap is None or got[pk] < cap]
        assert not with_room or max(got.values()) - min(with_room) <= 1
