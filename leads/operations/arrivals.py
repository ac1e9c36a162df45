"""Leads that arrive from other systems: new ones, known ones, and many at once."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from calliyo.unit_of_work import part_of_unit, unit_of_work
from leads.activities import ActivityKind, record
from leads.models import ExternalId, Lead, LeadTag, StatusRole
from leads.operations.assignment import lock_agents, refuse_over_cap
from leads.operations.errors import DuplicateExternalId, DuplicatePhone
from leads.operations.external_ids import find_lead_by_external_id
from leads.operations.intake import (
    LeadChanges,
    NewLead,
    create_lead,
    find_lead_by_phone,
    first_status,
    required_name,
    update_lead,
)
from leads.operations.tags import find_tags

_ATTEMPTS = 3


class OnDuplicate(StrEnum):
    """What is done with a lead that is known already."""

    UPDATE = "update"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The lead that was meant, and whether it is new."""

    lead_id: int
    created: bool


@unit_of_work
def take_lead(
    *, values: NewLead, on_duplicate: OnDuplicate | None, may_create_tags: bool, api_key_id: int
) -> Arrival:
    """Creates the lead; or, where the key's `external_id` or else the phone is known, updates it or leaves it.

    An update writes what `values` name. Raises what `create_lead` and `update_lead` raise; without `on_duplicate` for
    a known lead, too.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        known = _known(values, api_key_id) if on_duplicate else None
        try:
            if known is None:
                lead = create_lead(**values, may_create_tags=may_create_tags, created_by_key_id=api_key_id)
                return Arrival(lead_id=lead.pk, created=True)
        except (DuplicatePhone, DuplicateExternalId):
            if on_duplicate is None or attempt == _ATTEMPTS:
                raise
            continue  # somebody else's came in since we looked
        try:
            if on_duplicate == OnDuplicate.UPDATE:
                update_lead(
                    lead=known,
                    changes=cast("LeadChanges", values),
                    may_create_tags=may_create_tags,
                    api_key_id=api_key_id,
                )
        except Lead.DoesNotExist:
            if attempt == _ATTEMPTS:
                raise
            continue  # deleted since we looked
        return Arrival(lead_id=known.pk, created=False)
    raise AssertionError("the last attempt returns or raises")


def _known(values: NewLead, api_key_id: int) -> Lead | None:
    external_id = values.get("external_id")
    found = find_lead_by_external_id(api_key_id=api_key_id, value=external_id) if external_id else None
    return found or find_lead_by_phone(values["phone"])


@unit_of_work
def create_leads(*, values: Sequence[NewLead], may_create_tags: bool, api_key_id: int) -> list[Lead]:
    """New leads as `create_lead` makes them, in a few statements for all; all of them, or none.

    Phones are in E.164, and in their order, so that rivals with the same leads wait for each other. Raises what
    `create_lead` raises; an IntegrityError where a phone or external id is taken.
    """
    tags = find_tags(
        names=[name for one in values for name in one.get("tags", ())], may_create=may_create_tags
    )
    statuses = {owned: first_status(owned=owned) for owned in (False, True)}
    leads = [
        Lead(
            first_name=required_name(one["first_name"]),
            last_name=one.get("last_name", "").strip(),
            phone=one["phone"],
            email=one.get("email", "").strip(),
            status=one.get("status") or statuses[one.get("owner") is not None],
            owner=one.get("owner"),
            campaign=one.get("campaign"),
            source=one.get("source", "").strip(),
            created_by_key_id=api_key_id,
        )
        for one in values
    ]
    _refuse_over_caps(leads)
    Lead.objects.bulk_create(leads)
    by_name = {tag.name.lower(): tag for tag in tags}
    LeadTag.objects.bulk_create(
        LeadTag(lead=lead, tag=by_name[key])
        for lead, one in zip(leads, values, strict=True)
        for key in dict.fromkeys(name.lower() for name in one.get("tags", ()))
    )
    external_ids = [
        ExternalId(lead=lead, api_key_id=api_key_id, value=value)
        for lead, one in zip(leads, values, strict=True)
        if (value := one.get("external_id"))
    ]
    ExternalId.objects.bulk_create(sorted(external_ids, key=lambda one: one.value))
    record(ActivityKind.CREATED, {lead.pk: {"source": lead.source} for lead in leads})
    return leads


def _refuse_over_caps(leads: Sequence[Lead]) -> None:
    taking = Counter(
        lead.owner_id
        for lead in leads
        if lead.owner_id is not None and lead.status.role != StatusRole.CUSTOMER
    )
    owned = {lead.owner_id for lead in leads if lead.owner_id is not None}
    agents = lock_agents(owned) if owned else {}
    for owner_id, count in taking.items():
        refuse_over_cap(agents[owner_id], taking=count)


def hold_leads(*, leads: Collection[int], owners: Collection[int]) -> None:
    """Locks leads that are about to be changed one by one, and who is to own them, in the order that all keep to.

    Two batches that name the same leads in different orders then wait for each other instead of dying.
    """
    lock_agents(owners, banned_too=True)
    held = Lead.rows.filter(pk__in=leads).order_by("pk").select_for_update(no_key=True)
    list(held.values_list("pk", flat=True))


def record_repeats(*, repeats: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Notes in their timelines that known leads were sent again; the leads stay as they are.

    Each repeat is a lead's id and what was submitted. Leads that are gone by now get no line.
    """
    # Without a savepoint: a known number must not take longer than a new one.
    with part_of_unit():
        wanted = {pk for pk, _ in repeats}
        held = Lead.rows.filter(pk__in=wanted).order_by("pk").select_for_update(no_key=True)
        there = set(held.values_list("pk", flat=True))
        lines = [(pk, {"submitted": dict(submitted)}) for pk, submitted in repeats if pk in there]
        record(ActivityKind.SUBMITTED_AGAIN, lines)
