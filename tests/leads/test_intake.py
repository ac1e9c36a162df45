"""How leads come in and change: the pipeline's rules, whoever calls."""

import pytest
from django.db import IntegrityError

from calliyo.actor import Actor, ActorType, acting_as
from calliyo.models import Company
from leads.activities import ActivityKind
from leads.models import Activity, ExternalId, Lead, StatusRole, Tag
from leads.operations.arrivals import record_repeats
from leads.operations.assignment import refuse_over_cap
from leads.operations.errors import (
    DuplicateExternalId,
    DuplicatePhone,
    InvalidName,
    LeadCapReached,
    OwnerBanned,
    UnknownTag,
)
from leads.operations.intake import _save_unique, create_lead, find_lead_by_phone, update_lead
from leads.phones import PhoneRefused
from tests.leads.factories import (
    CampaignFactory,
    CustomerFactory,
    LeadFactory,
    TagFactory,
    UserFactory,
    status_named,
    status_of,
)

pytestmark = pytest.mark.django_db


def kinds(lead: Lead) -> list[str]:
    return list(Activity.objects.filter(lead=lead).order_by("id").values_list("kind", flat=True))


# ── create ──────────────────────────────────────────────────────────────────────────────────────────────
def test_a_new_lead_starts_in_unassigned() -> None:
    lead = create_lead(first_name=" Asha ", phone="98765 43210", source="Website form")
    assert (lead.first_name, lead.phone, lead.status.role) == ("Asha", "+919876543210", StatusRole.UNASSIGNED)
    assert Activity.objects.get().data == {"source": "Website form"}
    assert kinds(lead) == [ActivityKind.CREATED]


def test_plain_digits_are_read_in_the_companys_country() -> None:
    Company.current()
    Company.objects.update(country="US")
    assert create_lead(first_name="Ann", phone="(415) 555-0100").phone == "+14155550100"


def test_an_owner_on_a_new_lead_moves_it_to_assigned() -> None:
    assert (
        create_lead(first_name="Asha", phone="9876543210", owner=UserFactory()).status.role
        == StatusRole.ASSIGNED
    )


def test_a_new_lead_keeps_the_status_that_the_request_names_beside_the_owner() -> None:
    status = status_named("Interested")
    assert (
        create_lead(first_name="A", phone="9876543210", owner=UserFactory(), status=status).status == status
    )


def test_an_owner_changes_no_status_where_assigned_was_deleted() -> None:
    status_of(StatusRole.ASSIGNED).delete()
    lead = create_lead(first_name="Asha", phone="9876543210", owner=UserFactory())
    assert lead.status.role == StatusRole.UNASSIGNED
    assert update_lead(lead=lead, changes={"owner": UserFactory()}).status.role == StatusRole.UNASSIGNED


def test_a_number_that_exists_is_refused_and_names_the_lead() -> None:
    existing = LeadFactory(phone="+919876543210")
    with pytest.raises(DuplicatePhone) as refused:
        create_lead(first_name="Asha", phone="098765-43210", tags=["New"])
    assert refused.value.code == "duplicate_phone"
    assert refused.value.extra == {"existing_id": existing.pk}
    assert Lead.objects.count() == 1 and not Tag.objects.exists() and not Activity.objects.exists()


def test_tags_are_found_without_regard_to_case_and_made_once() -> None:
    hot = TagFactory(name="Hot")
    lead = create_lead(
        first_name="Asha", phone="9876543210", tags=["hot", "Weekend  batch", "HOT", "weekend batch"]
    )
    assert {tag.name for tag in lead.tags.all()} == {"Hot", "Weekend batch"}
    assert hot in lead.tags.all() and Tag.objects.count() == 2
    assert lead.version == Lead.objects.get().version


def test_who_may_not_create_tags_is_refused_unknown_ones() -> None:
    with pytest.raises(UnknownTag, match="'Nope'"):
        create_lead(first_name="Asha", phone="9876543210", tags=["Nope"], may_create_tags=False)
    assert not Lead.objects.exists() and not Tag.objects.exists()


def test_a_lead_needs_a_first_name_and_a_number() -> None:
    with pytest.raises(InvalidName) as refused:
        create_lead(first_name="  ", phone="9876543210")
    assert refused.value.field == "first_name"
    with pytest.raises(PhoneRefused):
        create_lead(first_name="Asha", phone="12345")
    assert not Lead.objects.exists()


def test_a_banned_user_gets_no_lead() -> None:
    with pytest.raises(OwnerBanned):
        create_lead(first_name="Asha", phone="9876543210", owner=UserFactory(is_active=False))
    assert not Lead.objects.exists()


def test_an_agent_never_gets_more_than_his_cap_not_counting_customers() -> None:
    agent = UserFactory(lead_cap=2)
    CustomerFactory(owner=agent)
    LeadFactory(owner=agent)
    create_lead(first_name="Second", phone="9876543211", owner=agent)
    with pytest.raises(LeadCapReached) as refused:
        create_lead(first_name="Third", phone="9876543212", owner=agent)
    assert refused.value.extra == {"lead_cap": 2, "room": 0}
    create_lead(first_name="Sold", phone="9876543213", owner=agent, status=status_of(StatusRole.CUSTOMER))
    assert Lead.objects.filter(owner=agent).count() == 4


def test_the_keys_own_id_is_kept_and_matched_before_the_phone() -> None:
    key = 5
    first = create_lead(first_name="A", phone="9876543210", external_id="z-1", created_by_key_id=key)
    assert (first.created_by_key_id, ExternalId.objects.get().value) == (key, "z-1")
    with pytest.raises(DuplicateExternalId) as refused:
        create_lead(first_name="B", phone="9876543210", external_id="z-1", created_by_key_id=key)
    assert refused.value.extra == {"existing_id": first.pk}
    create_lead(first_name="C", phone="9876543211", external_id="z-1", created_by_key_id=key + 1)


# ── update ──────────────────────────────────────────────────────────────────────────────────────────────
def test_an_update_writes_the_fields_that_it_names_and_no_other() -> None:
    lead = LeadFactory(first_name="Asha", last_name="Old")
    stale = Lead.objects.get(pk=lead.pk)
    update_lead(lead=lead, changes={"first_name": "Usha"})
    updated = update_lead(lead=stale, changes={"last_name": "New"})
    assert (updated.first_name, updated.last_name, updated.version) == ("Usha", "New", 3)


def test_an_owner_moves_unassigned_to_assigned_and_no_other_status() -> None:
    agent = UserFactory(name="Farheen Shaikh")
    lead = LeadFactory()
    unassigned = lead.status
    updated = update_lead(lead=lead, changes={"owner": agent})
    assert updated.status.role == StatusRole.ASSIGNED
    assert kinds(lead) == [ActivityKind.OWNER_CHANGED, ActivityKind.STATUS_CHANGED]
    owner_line, status_line = Activity.objects.order_by("id")
    assert owner_line.data == {"from": None, "to": {"id": agent.pk, "name": "Farheen Shaikh"}}
    assert status_line.data["from"] == {"id": unassigned.pk, "name": "Unassigned"}
    busy = LeadFactory(status=status_named("Busy"))
    assert update_lead(lead=busy, changes={"owner": agent}).status.name == "Busy"
    kept = update_lead(lead=LeadFactory(), changes={"owner": agent, "status": unassigned})
    assert kept.status == unassigned


def test_taking_the_owner_away_leaves_the_status() -> None:
    lead = LeadFactory(owner=UserFactory(), status=status_of(StatusRole.ASSIGNED))
    updated = update_lead(lead=lead, changes={"owner": None})
    assert (updated.owner, updated.status.role) == (None, StatusRole.ASSIGNED)


def test_a_phone_is_normalised_and_never_taken_from_another_lead() -> None:
    other, lead = LeadFactory(phone="+919876543210"), LeadFactory()
    assert update_lead(lead=lead, changes={"phone": "98765 43211"}).phone == "+919876543211"
    with pytest.raises(DuplicatePhone) as refused:
        update_lead(lead=lead, changes={"phone": "9876543210", "first_name": "Changed"})
    assert refused.value.extra == {"existing_id": other.pk}
    lead.refresh_from_db()
    assert lead.phone == "+919876543211" and lead.first_name != "Changed"


def test_tags_are_replaced_added_and_removed() -> None:
    lead = LeadFactory(tags=[TagFactory(name="Hot"), TagFactory(name="EMI")])

    def names() -> set[str]:
        return {tag.name for tag in lead.tags.all()}

    update_lead(lead=lead, changes={"add_tags": ["Fresher"], "remove_tags": ["HOT", "unknown"]})
    assert names() == {"EMI", "Fresher"}
    assert Activity.objects.get().data == {"added": ["Fresher"], "removed": ["Hot"]}
    update_lead(lead=lead, changes={"tags": ["hot"]})
    assert names() == {"Hot"}
    update_lead(lead=lead, changes={"tags": []})
    assert names() == set()


def test_an_update_that_changes_nothing_writes_nothing() -> None:
    lead = LeadFactory(tags=[TagFactory(name="Hot")])
    changes = {"first_name": lead.first_name, "phone": lead.phone, "tags": ["hot"], "status": lead.status}
    before = Lead.objects.get(pk=lead.pk).version
    assert update_lead(lead=lead, changes=changes).version == before
    assert not Activity.objects.exists()


def test_details_are_told_with_both_values() -> None:
    lead = LeadFactory(first_name="Asha", campaign=None)
    campaign = CampaignFactory(name="Diwali")
    update_lead(lead=lead, changes={"first_name": "Usha", "campaign": campaign})
    assert Activity.objects.get().data == {
        "first_name": {"from": "Asha", "to": "Usha"},
        "campaign": {"from": None, "to": {"id": campaign.pk, "name": "Diwali"}},
    }


def test_a_full_agent_gets_no_lead_by_update_nor_by_a_customer_who_returns() -> None:
    agent = UserFactory(lead_cap=1)
    LeadFactory(owner=agent)
    lead, customer = LeadFactory(), CustomerFactory(owner=agent)
    with pytest.raises(LeadCapReached):
        update_lead(lead=lead, changes={"owner": agent})
    with pytest.raises(LeadCapReached):
        update_lead(lead=customer, changes={"status": status_named("Interested")})
    other = UserFactory(lead_cap=1)
    returned = update_lead(lead=customer, changes={"status": status_named("Interested"), "owner": other})
    assert (returned.owner, returned.converted_at) == (other, None)
    assert update_lead(lead=returned, changes={"owner": other, "source": "x"}).source == "x"


def test_an_external_id_grows_the_version_and_can_be_taken_away() -> None:
    lead = LeadFactory()
    updated = update_lead(lead=lead, changes={"external_id": "z-9"}, api_key_id=5)
    assert updated.version == 2 and ExternalId.objects.get().value == "z-9"
    assert update_lead(lead=lead, changes={"external_id": "z-9"}, api_key_id=5).version == 2
    with pytest.raises(DuplicateExternalId):
        update_lead(lead=LeadFactory(), changes={"external_id": "z-9"}, api_key_id=5)
    update_lead(lead=lead, changes={"external_id": None}, api_key_id=5)
    assert not ExternalId.objects.exists()


def test_a_lead_that_is_gone_is_said_so() -> None:
    lead = LeadFactory()
    Lead.objects.filter(pk=lead.pk).delete()
    with pytest.raises(Lead.DoesNotExist):
        update_lead(lead=lead, changes={"first_name": "Usha"})


# ── beside them ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_repeat_is_a_line_in_the_timeline_and_changes_nothing() -> None:
    lead = LeadFactory()
    with acting_as(Actor(type=ActorType.API_KEY, id=3, name="Marketing form")):
        record_repeats(repeats=[(lead.pk, {"first_name": "Asha", "source": "ad"})])
    line = Activity.objects.get()
    assert (line.kind, line.actor_type, line.actor_name) == ("submitted_again", "api_key", "Marketing form")
    assert line.data == {"submitted": {"first_name": "Asha", "source": "ad"}}
    assert Lead.objects.get().version == lead.version


def test_a_lead_is_found_by_its_number_in_any_spelling() -> None:
    lead = LeadFactory(phone="+919876543210")
    assert find_lead_by_phone("098765 43210") == lead
    assert find_lead_by_phone("098765 43211") is None


def test_nobody_without_a_cap_is_full() -> None:
    refuse_over_cap(UserFactory(lead_cap=None), taking=10**6)
    with pytest.raises(LeadCapReached):
        refuse_over_cap(UserFactory(lead_cap=0), taking=1)


def test_another_broken_constraint_is_not_taken_for_a_duplicate() -> None:
    lead = LeadFactory()
    with pytest.raises(IntegrityError, match="lead_amount_not_negative"):
        _save_unique(Lead(first_name="A", phone="+919876543210", status=lead.status, amount=-1))
