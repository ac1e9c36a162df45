"""Stores the demo: the team, its campaigns and tags; then leads with their histories, a chunk a unit of work.

Everything goes through the models, so that it fires what any other write fires; by bulk, so that a million
leads take bounded memory. What is there already, by name or by phone, is left as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from calliyo.actor import SYSTEM, Actor, ActorType
from calliyo.management.demo import words
from calliyo.management.demo.integrations import write_integrations
from calliyo.management.demo.story import LeadStory, lead_story, phone_of
from calliyo.models import Company
from calliyo.unit_of_work import unit_of_work
from leads.activities import ActivityKind
from leads.models import (
    Activity,
    Call,
    CallDirection,
    Campaign,
    FollowUp,
    Lead,
    LeadStatus,
    LeadTag,
    Note,
    Role,
    StatusRole,
    Tag,
    User,
)

CHUNK = 500
DEFAULT_LEADS = 250
# So many leads go to the team that `words` names; beyond, to those without a cap and to further agents.
LEADS_OF_THE_TEAM = 1_000
LEADS_OF_ONE_AGENT = 5_000
TEAM_PHONES_FROM = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """How many rows were added."""

    users: int = 0
    campaigns: int = 0
    tags: int = 0
    leads: int = 0
    customers: int = 0
    calls: int = 0
    follow_ups: int = 0
    notes: int = 0
    api_keys: int = 0
    webhooks: int = 0
    deliveries: int = 0

    def __add__(self, other: Self) -> "Seeded":
        return Seeded(
            **{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(self)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cast:
    """Who and what the stories' places and names stand for."""

    admin: Actor
    manager: User
    team: Sequence[User]
    crowd: Sequence[User]
    campaigns: Sequence[Campaign]
    tags: Mapping[str, Tag]
    statuses: Mapping[str, LeadStatus]
    unassigned: LeadStatus
    now: datetime
    zone: ZoneInfo

    def owners_of(self, index: int) -> Sequence[User]:
        return self.team if index < DEFAULT_LEADS else self.crowd

    def status(self, name: str) -> LeadStatus:
        return self.statuses.get(name, self.unassigned)  # a company may have deleted or renamed it


def seed(leads: int) -> Iterator[Seeded]:
    """Adds what is missing of a demo of so many leads, and gives what each step added."""
    cast, added = _cast(leads)
    yield added
    for start in range(0, leads, CHUNK):
        yield _write_chunk(range(start, min(start + CHUNK, leads)), cast)
    phones = [phone_of(index) for index in range(min(leads, DEFAULT_LEADS))]
    made = write_integrations(by=cast.admin, phones=phones, now=cast.now)
    yield Seeded(api_keys=made.api_keys, webhooks=made.webhooks, deliveries=made.deliveries)


@unit_of_work
def _cast(leads: int) -> tuple[_Cast, Seeded]:
    company = Company.current()
    if company.name == Company().name:
        company.name = words.COMPANY_NAME
        company.save(update_fields=["name"])
    now, zone = timezone.now(), company.zone
    users, new_users = _users(max(0, leads - LEADS_OF_THE_TEAM) // LEADS_OF_ONE_AGENT)
    agents = [user for user in users if user.role == Role.AGENT]
    campaigns, new_campaigns = _campaigns(agents, now.astimezone(zone))
    tags, new_tags = _tags()
    admin = next(user for user in users if user.role == Role.COMPANY_ADMIN)
    cast = _Cast(
        admin=Actor(type=ActorType.USER, id=admin.pk, name=admin.name),
        manager=next(user for user in users if user.role == Role.MANAGER),
        team=agents[: sum(role == Role.AGENT for _, _, role, _ in words.TEAM)],
        crowd=[agent for agent in agents if agent.lead_cap is None],
        campaigns=campaigns,
        tags=tags,
        statuses={status.name: status for status in LeadStatus.objects.all()},
        unassigned=LeadStatus.objects.get(role=StatusRole.UNASSIGNED),
        now=now,
        zone=zone,
    )
    return cast, Seeded(users=new_users, campaigns=new_campaigns, tags=new_tags)


def _users(further: int) -> tuple[list[User], int]:
    people = [*words.TEAM, *(_further_agent(number) for number in range(further))]
    wanted = []
    for number, (first_name, last_name, role, lead_cap) in enumerate(people):
        username = f"{first_name}.{last_name}".lower().replace("'", "")
        if number >= len(words.TEAM):
            username += str(number)
        user = User(
            username=username,
            name=f"{first_name} {last_name}",
            email=f"{username}@northstar.example.com",
            phone=phone_of(TEAM_PHONES_FROM + number),
            employee_code=f"NS-{1040 + number}",
            role=role,
            lead_cap=lead_cap,
        )
        user.set_unusable_password()
        wanted.append(user)
    # Whoever has the code, the name or the address is that person, even when somebody has changed the others.
    same = (
        Q(employee_code__in=[user.employee_code for user in wanted])
        | Q(lower_name__in=[user.username for user in wanted])
        | Q(lower_email__in=[user.email for user in wanted])
    )
    known: dict[str, User] = {}
    for user in User.objects.alias(lower_name=Lower("username"), lower_email=Lower("email")).filter(same):
        known |= {user.employee_code: user, user.username.lower(): user, user.email.lower(): user}
    users = [
        known.get(user.employee_code) or known.get(user.username) or known.get(user.email) or user
        for user in wanted
    ]
    missing = [user for user, person in zip(wanted, users, strict=True) if person is user]
    User.objects.bulk_create(missing)
    return users, len(missing)


def _further_agent(number: int) -> tuple[str, str, str, int | None]:
    random = Random(f"calliyo demo agent {number}")  # noqa: S311  # the same each time is what is wanted
    _, given, family = random.choice(words.NAMES)
    return random.choice(given.split()), random.choice(family.split()), Role.AGENT, None


def _campaigns(agents: Sequence[User], today: datetime) -> tuple[list[Campaign], int]:
    campaigns, added = [], 0
    for place, (name, status, starts, ends, _) in enumerate(words.CAMPAIGNS):
        campaign = Campaign.objects.filter(name=name).first()
        if campaign is None:
            campaign = Campaign.objects.create(
                name=name,
                status=status,
                starts_on=(today + timedelta(days=starts)).date(),
                ends_on=None if ends is None else (today + timedelta(days=ends)).date(),
            )
            campaign.agents.add(*agents[place : place + 4])
            added += 1
        campaigns.append(campaign)
    return campaigns, added


def _tags() -> tuple[dict[str, Tag], int]:
    known = {tag.name: tag for tag in Tag.objects.filter(name__in=words.TAGS)}
    lower = {tag.name.lower(): tag for tag in Tag.objects.all()}
    found = {name: known.get(name) or lower.get(name.lower()) for name in words.TAGS}
    missing = Tag.objects.bulk_create(Tag(name=name) for name, tag in found.items() if tag is None)
    found |= {tag.name: tag for tag in missing}
    return {name: tag for name, tag in found.items() if tag is not None}, len(missing)


@unit_of_work
def _write_chunk(indexes: Iterable[int], cast: _Cast) -> Seeded:
    phones = {phone_of(index): index for index in indexes}
    for phone in Lead.objects.filter(phone__in=phones).values_list("phone", flat=True):
        del phones[phone]
    told = [
        (lead_story(index, now=cast.now, zone=cast.zone, agents=len(cast.owners_of(index))), index)
        for index in phones.values()
    ]
    owned = [
        (story, None if story.owner is None else cast.owners_of(index)[story.owner]) for story, index in told
    ]
    leads = Lead.objects.bulk_create(_lead(story, owner, cast) for story, owner in owned)
    rows = [(lead, story, owner) for lead, (story, owner) in zip(leads, owned, strict=True)]
    LeadTag.objects.bulk_create(
        LeadTag(lead=lead, tag=cast.tags[tag]) for lead, story, _ in rows for tag in story.tags
    )
    calls = Call.objects.bulk_create(call for row in rows for call in _calls(*row))
    follow_ups = FollowUp.objects.bulk_create(follow_up for row in rows for follow_up in _follow_ups(*row))
    notes = Note.objects.bulk_create(note for row in rows for note in _notes(*row))
    Activity.objects.bulk_create((line for row in rows for line in _activities(*row, cast)), batch_size=CHUNK)
    return Seeded(
        leads=len(leads),
        customers=sum(story.order is not None for story, _ in owned),
        calls=len(calls),
        follow_ups=len(follow_ups),
        notes=len(notes),
    )


def _lead(story: LeadStory, owner: User | None, cast: _Cast) -> Lead:
    order: dict[str, Any] = {}
    if story.order is not None:
        order = {
            "amount": Decimal(story.order.amount),
            "currency": "INR",
            "plan": story.order.plan,
            "payment_status": story.order.payment_status,
        }
    return Lead(
        first_name=story.first_name,
        last_name=story.last_name,
        phone=story.phone,
        email=story.email,
        source=story.source,
        campaign=None if story.campaign is None else cast.campaigns[story.campaign],
        status=cast.status(story.status),
        owner=owner,
        created_at=story.created_at,
        converted_at=story.converted_at,
        **order,
    )


def _calls(lead: Lead, story: LeadStory, owner: User | None) -> Iterator[Call]:
    for call in story.calls:
        yield Call(
            lead=lead,
            agent=owner,
            direction=CallDirection.INCOMING if call.incoming else CallDirection.OUTGOING,
            status=call.status,
            started_at=call.started_at,
            ended_at=call.ended_at,
            completed_at=call.ended_at,
            duration_seconds=call.duration,
            note=call.note,
            created_at=call.started_at,
        )


def _follow_ups(lead: Lead, story: LeadStory, owner: User | None) -> Iterator[FollowUp]:
    for follow_up in story.follow_ups:
        yield FollowUp(
            lead=lead,
            owner=owner,
            due_at=follow_up.due_at,
            note=follow_up.note,
            resolved_at=follow_up.resolved_at,
            created_at=follow_up.created_at,
        )


def _notes(lead: Lead, story: LeadStory, owner: User | None) -> Iterator[Note]:
    for note in story.notes:
        yield Note(lead=lead, text=note.text, created_at=note.at, **_author(owner))


def _author(user: User | None) -> dict[str, Any]:
    if user is None:
        return {"author_type": SYSTEM.type, "author_name": SYSTEM.name or ""}
    return {"author_type": ActorType.USER, "author_id": user.pk, "author_name": user.name}


def _activities(lead: Lead, story: LeadStory, owner: User | None, cast: _Cast) -> Iterator[Activity]:
    def line(kind: ActivityKind, at: datetime, by: User | None, data: dict[str, Any]) -> Activity:
        actor = {name.replace("author", "actor"): value for name, value in _author(by).items()}
        return Activity(lead=lead, kind=kind, at=at, data=data, **actor)

    yield line(ActivityKind.CREATED, story.created_at, None, {"source": story.source})
    if owner is None or story.assigned_at is None:
        return
    to = {"id": owner.pk, "name": owner.name}
    yield line(ActivityKind.OWNER_CHANGED, story.assigned_at, cast.manager, {"from": None, "to": to})
    before, by = cast.unassigned, cast.manager
    for move in story.moves:
        after = cast.status(move.to)
        data = {"from": {"id": before.pk, "name": before.name}, "to": {"id": after.pk, "name": after.name}}
        yield line(ActivityKind.STATUS_CHANGED, move.at, by, data)
        before, by = after, owner
