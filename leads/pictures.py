"""How each resource looks in JSON: one spelling for events and for the API.

For each there are the columns to read (`values_list(*…_COLUMNS)`) and a function from such a row to the picture. A
picture is a plain dict in the contract's order of fields, ready for the encoder.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from calliyo.prepared import fetch
from leads.models import CampaignAgent, Lead, LeadTag, StatusRole
from leads.models.follow_up import follow_up_status
from leads.models.status import PROTECTED_NAMES

Picture = dict[str, Any]


def moment(value: datetime | str | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and `Z`; what the database has spelled so already, as it is."""
    if value is None or isinstance(value, str):
        return value
    # Stored times are in UTC, so the text needs no conversion.
    return f"{value.isoformat('T', 'milliseconds')[:23]}Z"


def day(value: date | None) -> str | None:
    """A date as `2026-11-24`."""
    return None if value is None else value.isoformat()


def amount(value: Decimal | None) -> str | None:
    """Major units as a decimal string with at least two places, three where they count (contract, *Words*)."""
    if value is None:
        return None
    text = f"{value:.3f}"
    return text.removesuffix("0")


LEAD_COLUMNS = (
    "id",
    "version",
    "first_name",
    "last_name",
    "phone",
    "email",
    "status_id",
    "status__name",
    "owner_id",
    "campaign_id",
    "source",
    "created_at",
    "updated_at",
    "converted_at",
)


def lead_picture(row: tuple[Any, ...], *, tags: list[str], external_id: str | None = None) -> Picture:
    """A lead; `tags` by name, `external_id` that of the key who looks."""
    *first, created, updated, converted = row
    return lead_of_list((*first, moment(created), moment(updated), moment(converted), tags, external_id))


def lead_of_list(row: tuple[Any, ...]) -> Picture:
    """A lead as a list reads it: its columns, times as text; its tags' names in any order; its `external_id`."""
    (
        pk,
        version,
        first,
        last,
        phone,
        email,
        status,
        status_name,
        owner,
        campaign,
        source,
        created,
        updated,
        converted,
        tags,
        external_id,
    ) = row
    return {
        "id": pk,
        "version": version,
        "first_name": first,
        "last_name": last,
        "phone": phone,
        "email": email,
        "status": {"id": status, "name": status_name},
        "owner_id": owner,
        "campaign_id": campaign,
        "source": source,
        "tags": in_order(tags) if len(tags) > 1 else tags,
        "external_id": external_id,
        "created_at": created,
        "updated_at": updated,
        "converted_at": converted,
    }


def tags_of(lead_ids: Iterable[int]) -> Mapping[int, list[str]]:
    """The tags' names of each of these leads, in any order; none: an empty list."""
    names: defaultdict[int, list[str]] = defaultdict(list)
    for lead, name in LeadTag.objects.filter(lead__in=lead_ids).values_list("lead_id", "tag__name"):
        names[lead].append(name)
    return names


def in_order(tags: list[str]) -> list[str]:
    """Alphabetical, without regard to case."""
    return sorted(tags, key=lambda name: (name.casefold(), name))


_READ_LEADS = """
SELECT l.id, l.version, l.first_name, l.last_name, l.phone, l.email, l.status_id, s.name, l.owner_id, l.campaign_id,
    l.source, l.created_at, l.updated_at, l.converted_at,
    ARRAY(SELECT t.name FROM leads_leadtag lt JOIN leads_tag t ON t.id = lt.tag_id WHERE lt.lead_id = l.id)
FROM leads_lead l JOIN leads_leadstatus s ON s.id = l.status_id WHERE l.id = ANY(%s)
"""


def read_leads(pks: list[int]) -> dict[int, Picture]:
    """The pictures of these leads, of those that exist, as they are now."""
    if connection.vendor == "postgresql":
        # One statement instead of two, not compiled anew: it is on the way of every save.
        rows = fetch(_READ_LEADS, [pks])
        return {row[0]: lead_picture(row[:-1], tags=row[-1]) for row in rows}
    tags = tags_of(pks)
    rows = Lead.rows.filter(pk__in=pks).values_list(*LEAD_COLUMNS)
    return {row[0]: lead_picture(row, tags=tags.get(row[0], [])) for row in rows}


CUSTOMER_COLUMNS = (*LEAD_COLUMNS, "amount", "currency", "plan", "payment_status")


def customer_picture(row: tuple[Any, ...], *, tags: list[str], external_id: str | None = None) -> Picture:
    """A customer: the lead and the order facts; what is not known of these is null."""
    *lead, money, currency, plan, payment_status = row
    return lead_picture(tuple(lead), tags=tags, external_id=external_id) | {
        "amount": amount(money),
        "currency": currency or None,
        "plan": plan or None,
        "payment_status": payment_status or None,
    }


USER_COLUMNS = (
    "id", "version", "name", "email", "phone", "employee_code", "role", "is_active", "created_at", "updated_at",
)  # fmt: skip


def user_picture(row: tuple[Any, ...]) -> Picture:
    pk, version, name, email, phone, employee_code, role, active, created, updated = row
    return {
        "id": pk,
        "version": version,
        "name": name,
        "email": email,
        "phone": phone,
        "employee_code": employee_code,
        "role": role,
        "active": active,
        "created_at": moment(created),
        "updated_at": moment(updated),
    }


STATUS_COLUMNS = ("id", "version", "name", "position", "role", "created_at", "updated_at")


def status_picture(row: tuple[Any, ...]) -> Picture:
    pk, version, name, position, role, created, updated = row
    return {
        "id": pk,
        "version": version,
        "name": name,
        "position": position,
        "protected": StatusRole(role) in PROTECTED_NAMES,
        "created_at": moment(created),
        "updated_at": moment(updated),
    }


TAG_COLUMNS = ("id", "version", "name", "created_at", "updated_at")


def tag_picture(row: tuple[Any, ...]) -> Picture:
    pk, version, name, created, updated = row
    return {
        "id": pk,
        "version": version,
        "name": name,
        "created_at": moment(created),
        "updated_at": moment(updated),
    }


CAMPAIGN_COLUMNS = ("id", "version", "name", "status", "starts_on", "ends_on", "created_at", "updated_at")


def campaign_picture(row: tuple[Any, ...], *, agent_ids: list[int]) -> Picture:
    pk, version, name, status, starts_on, ends_on, created, updated = row
    return {
        "id": pk,
        "version": version,
        "name": name,
        "status": status,
        "starts_on": day(starts_on),
        "ends_on": day(ends_on),
        "agent_ids": agent_ids,
        "created_at": moment(created),
        "updated_at": moment(updated),
    }


def agents_of(campaign_ids: Iterable[int]) -> Mapping[int, list[int]]:
    """The agents' ids of each of these campaigns, in order; none: an empty list."""
    agents: defaultdict[int, list[int]] = defaultdict(list)
    links = CampaignAgent.objects.filter(campaign__in=campaign_ids).order_by("user_id")
    for campaign, user in links.values_list("campaign_id", "user_id"):
        agents[campaign].append(user)
    return agents


CALL_COLUMNS = (
    "id", "version", "lead_id", "agent_id", "direction", "status", "started_at", "ended_at", "duration_seconds",
    "note", "recording_url", "created_at", "updated_at",
)  # fmt: skip


def call_picture(row: tuple[Any, ...]) -> Picture:
    (
        pk,
        version,
        lead,
        agent,
        direction,
        status,
        started,
        ended,
        seconds,
        note,
        recording,
        created,
        updated,
    ) = row
    return {
        "id": pk,
        "version": version,
        "lead_id": lead,
        "agent_id": agent,
        "direction": direction,
        "status": status,
        "connected": seconds > 0,
        "started_at": moment(started),
        "ended_at": moment(ended),
        "duration_seconds": seconds,
        "note": note,
        "recording_url": recording,
        "created_at": moment(created),
        "updated_at": moment(updated),
    }


FOLLOW_UP_COLUMNS = (
    "id", "version", "lead_id", "due_at", "owner_id", "note", "resolved_at", "created_at", "updated_at",
)  # fmt: skip


def follow_up_picture(row: tuple[Any, ...], *, now: datetime) -> Picture:
    """A follow-up as of `now`, which decides whether an open one is overdue."""
    pk, version, lead, due, owner, note, resolved, created, updated = row
    return {
        "id": pk,
        "version": version,
        "lead_id": lead,
        "due_at": moment(due),
        "owner_id": owner,
        "note": note,
        "status": follow_up_status(due_at=due, resolved_at=resolved, now=now).value,
        "resolved_at": moment(resolved),
        "created_at": moment(created),
        "updated_at": moment(updated),
    }


NOTE_COLUMNS = (
    "id", "version", "lead_id", "text", "author_type", "author_id", "author_name", "created_at", "updated_at",
)  # fmt: skip


def note_picture(row: tuple[Any, ...]) -> Picture:
    pk, version, lead, text, author_type, author_id, author_name, created, updated = row
    return {
        "id": pk,
        "version": version,
        "lead_id": lead,
        "text": text,
        "author": {"type": author_type, "id": author_id, "name": author_name or None},
        "created_at": moment(created),
        "updated_at": moment(updated),
    }
