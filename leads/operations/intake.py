"""How a lead comes in and how it is changed: by API, admin, import and commands alike."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from calliyo.unit_of_work import unit_of_work
from leads.activities import ActivityKind, record
from leads.models import Campaign, Lead, LeadStatus, StatusRole, User
from leads.operations.assignment import assigned_status, lock_agents, person, refuse_over_cap
from leads.operations.company import company_region
from leads.operations.constraints import breaks
from leads.operations.errors import DuplicatePhone, InvalidName
from leads.operations.external_ids import refuse_taken_external_id, write_external_id
from leads.operations.tags import find_tags, write_tags
from leads.phones import to_e164

# The fields whose change is told in one line of the timeline, with both values.
_DETAILS = ("first_name", "last_name", "phone", "email", "campaign", "source")


class LeadChanges(TypedDict, total=False):
    """What a change may name; what it does not name stays as it is."""

    first_name: str
    last_name: str
    phone: str
    email: str
    status: LeadStatus
    owner: User | None
    campaign: Campaign | None
    source: str
    tags: Sequence[str]
    add_tags: Sequence[str]
    remove_tags: Sequence[str]
    external_id: str | None


class NewLead(TypedDict, total=False):
    """What a new lead may be told, by `create_lead`'s names; the first name and the phone are always there."""

    first_name: str
    phone: str
    last_name: str
    email: str
    status: LeadStatus | None
    owner: User | None
    campaign: Campaign | None
    source: str
    tags: Sequence[str]
    external_id: str | None


@unit_of_work
def create_lead(  # noqa: PLR0913  # one argument a field
    *,
    first_name: str,
    phone: str,
    last_name: str = "",
    email: str = "",
    status: LeadStatus | None = None,
    owner: User | None = None,
    campaign: Campaign | None = None,
    source: str = "",
    tags: Sequence[str] = (),
    may_create_tags: bool = True,
    external_id: str | None = None,
    created_by_key_id: int | None = None,
) -> Lead:
    """A new lead. Without a status it starts in Unassigned, or in Assigned when it has an owner.

    `phone` may be in any spelling; `tags` are names. `external_id` is the id that the key `created_by_key_id`
    uses for the lead. Raises PhoneRefused, DuplicatePhone, DuplicateExternalId, UnknownTag, LeadCapReached,
    OwnerBanned, and then nothing is written.
    """
    lead = Lead(
        first_name=required_name(first_name),
        last_name=last_name.strip(),
        phone=to_e164(phone, region=company_region()),
        email=email.strip(),
        owner=owner,
        campaign=campaign,
        source=source.strip(),
        created_by_key_id=created_by_key_id,
    )
    lead.status = status or first_status(owned=owner is not None)
    labels = find_tags(names=tags, may_create=may_create_tags) if tags else []
    if external_id and created_by_key_id is not None:
        refuse_taken_external_id(api_key_id=created_by_key_id, value=external_id, but=None)
    if owner is not None:
        agent = lock_agents([owner.pk])[owner.pk]
        refuse_over_cap(agent, taking=int(lead.status.role != StatusRole.CUSTOMER))
    _save_unique(lead)
    if labels:
        lead.tags.add(*labels)
    if external_id and created_by_key_id is not None:
        write_external_id(lead=lead, api_key_id=created_by_key_id, value=external_id)
    record(ActivityKind.CREATED, {lead.pk: {"source": lead.source}})
    if labels or external_id:
        lead.refresh_from_db(fields=["version", "updated_at"])  # what shows in it has moved them
    return lead


@unit_of_work
def update_lead(
    *, lead: Lead, changes: LeadChanges, may_create_tags: bool = True, api_key_id: int | None = None
) -> Lead:
    """Writes the fields that `changes` names and no other, on the row as it is now; gives that row.

    An owner moves Unassigned to Assigned, unless the change names a status. `external_id` is that of the key
    `api_key_id`; none takes it away. Raises what `create_lead` raises, and Lead.DoesNotExist when it is gone.
    """
    agents = lock_agents(_owners_to_lock(lead, changes), banned_too="owner" not in changes)
    # Without a join: a rival who moves the status meanwhile would make the joined row vanish.
    now: Lead = Lead.rows.select_for_update(no_key=True).get(pk=lead.pk)
    before = _picture(now)
    was_customer = now.status.role == StatusRole.CUSTOMER
    changed = _apply(now, changes)
    active = now.status.role != StatusRole.CUSTOMER
    if active and now.owner_id in agents and ("owner" in changed or was_customer):
        refuse_over_cap(agents[now.owner_id], taking=1)
    labels = _labels(changes, may_create=may_create_tags)
    if changed:
        _save_unique(now, update_fields=changed)
    _record_changes(now, before, changed)
    added, removed = write_tags(lead=now, **labels) if labels else ([], [])
    if added or removed:
        record(ActivityKind.TAGS_CHANGED, {now.pk: {"added": added, "removed": removed}})
    if "external_id" in changes and api_key_id is not None:
        write_external_id(lead=now, api_key_id=api_key_id, value=changes["external_id"])
    if added or removed or "external_id" in changes:
        now.refresh_from_db(fields=["version", "updated_at"])
    return now


def find_lead_by_phone(phone: str) -> Lead | None:
    """The lead with this number, in any spelling; raises PhoneRefused when it is none."""
    lead: Lead | None = Lead.objects.filter(phone=to_e164(phone, region=company_region())).first()
    return lead


def required_name(first_name: str) -> str:
    """The first name without spaces around it; raises InvalidName when nothing is left."""
    name = first_name.strip()
    if not name:
        raise InvalidName(gettext("A lead needs a first name."), field="first_name")
    return name


def first_status(*, owned: bool) -> LeadStatus:
    """Where a lead begins that nobody has given a status."""
    status = assigned_status() if owned else None
    return status or LeadStatus.rows.get(role=StatusRole.UNASSIGNED)


def _owners_to_lock(lead: Lead, changes: LeadChanges) -> list[int]:
    """Who may hold one more after this change: a new owner, or that of a customer who ceases to be one."""
    if "owner" not in changes and "status" not in changes:
        return []
    # Read anew: the instance may be stale, or bear a form's values already.
    owner_id, converted_at = Lead.rows.values_list("owner_id", "converted_at").get(pk=lead.pk)
    if "owner" in changes:
        owner = changes["owner"]
        return [owner.pk] if owner is not None and owner.pk != owner_id else []
    returns = (
        "status" in changes and changes["status"].role != StatusRole.CUSTOMER and converted_at is not None
    )
    return [owner_id] if returns and owner_id is not None else []


def _apply(lead: Lead, changes: LeadChanges) -> list[str]:
    """Sets what `changes` names on the locked lead, by the rules; gives the fields that differ now."""
    values: dict[str, Any] = {name: changes[name] for name in _DETAILS if name in changes}  # type: ignore[literal-required]
    if "phone" in changes:
        values["phone"] = to_e164(changes["phone"], region=company_region())
    if "first_name" in changes:
        values["first_name"] = required_name(changes["first_name"])
    if "status" in changes:
        values["status"] = changes["status"]
    if "owner" in changes:
        values["owner"] = changes["owner"]
        gets_owner = changes["owner"] is not None and changes["owner"].pk != lead.owner_id
        if gets_owner and "status" not in changes and lead.status.role == StatusRole.UNASSIGNED:
            values["status"] = assigned_status() or lead.status
    changed = []
    for name, value in values.items():
        clean = value.strip() if isinstance(value, str) else value
        if getattr(lead, name) != clean:
            setattr(lead, name, clean)
            changed.append(name)
    return changed


def _labels(changes: LeadChanges, *, may_create: bool) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    if "tags" in changes:
        labels["to"] = find_tags(names=changes["tags"], may_create=may_create)
    if "add_tags" in changes:
        labels["add"] = find_tags(names=changes["add_tags"], may_create=may_create)
    if "remove_tags" in changes:
        labels["remove"] = changes["remove_tags"]
    return labels


def _save_unique(lead: Lead, update_fields: Sequence[str] | None = None) -> None:
    try:
        with transaction.atomic():
            lead.save(update_fields=update_fields)
    except IntegrityError as error:
        if not breaks(error, constraint="lead_phone_unique", columns="leads_lead.phone"):
            raise
        # Who came first has committed by now: the database made this insert wait for him.
        existing = Lead.rows.filter(phone=lead.phone).values_list("pk", flat=True).first()
        raise DuplicatePhone(
            gettext("Another lead has the number %(phone)s.") % {"phone": lead.phone}, existing_id=existing
        ) from error


def _picture(lead: Lead) -> dict[str, Any]:
    """What the timeline tells of a change, before it."""
    details = {name: _told(getattr(lead, name)) for name in _DETAILS}
    return details | {"status": _told(lead.status), "owner": _told(lead.owner)}


def _told(value: Any) -> Any:
    match value:
        case LeadStatus() | Campaign():
            return {"id": value.pk, "name": value.name}
        case User():
            return person(value.pk, {value.pk: value.name})
        case _:
            return value


def _record_changes(lead: Lead, before: Mapping[str, Any], changed: Sequence[str]) -> None:
    lines = {name: {"from": before[name], "to": _told(getattr(lead, name))} for name in changed}
    if "owner" in lines:
        record(ActivityKind.OWNER_CHANGED, {lead.pk: lines.pop("owner")})
    if "status" in lines:
        record(ActivityKind.STATUS_CHANGED, {lead.pk: lines.pop("status")})
    if lines:
        record(ActivityKind.DETAILS_CHANGED, {lead.pk: lines})
