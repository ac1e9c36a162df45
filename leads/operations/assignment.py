"""Who works on which lead: one, many at once, or many spread evenly; no agent gets more than his cap."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from django.db.models import Count, QuerySet
from django.utils.translation import gettext

from calliyo.unit_of_work import unit_of_work
from leads.activities import ActivityKind, record
from leads.models import Lead, LeadStatus, StatusRole, User
from leads.models.locking import chunks
from leads.operations.errors import LeadCapReached, NobodyToAssign, OwnerBanned


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How many leads each agent got, by user id."""

    assigned: Mapping[int, int]

    @property
    def leads(self) -> int:
        return sum(self.assigned.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A locked lead, as far as its assignment goes."""

    pk: int
    owner_id: int | None
    status_id: int
    role: str


@unit_of_work
def assign_leads(*, leads: QuerySet[Lead], to: User | None) -> int:
    """Gives the leads to an agent (none: to nobody) and says how many were not his before.

    Those in Unassigned move to Assigned, where there is such a status. All or none: raises LeadCapReached
    when they do not all fit under his cap, OwnerBanned when he is banned.
    """
    agents = lock_agents([] if to is None else [to.pk])
    held = [lead for lead in _lock(leads) if lead.owner_id != (to.pk if to else None)]
    if to is not None:
        refuse_over_cap(agents[to.pk], taking=sum(lead.role != StatusRole.CUSTOMER for lead in held))
    _give(held, {lead.pk: to.pk if to else None for lead in held}, agents)
    return len(held)


@unit_of_work
def spread_leads(*, leads: QuerySet[Lead], over: Sequence[User]) -> Spread:
    """Deals the leads out to the agents in turn, as evenly as their caps allow; all of them, or none."""
    if not over:
        raise NobodyToAssign(gettext("Choose at least one agent to spread the leads over."))
    agents = lock_agents(agent.pk for agent in over)
    held = list(_lock(leads))
    # What they hold beside these leads; these are dealt out anew, whoever has them now.
    counts = _active_of(agents, but=[lead.pk for lead in held])
    room = {
        pk: None if agent.lead_cap is None else max(0, agent.lead_cap - counts[pk])
        for pk, agent in agents.items()
    }
    to = _dealt(held, room)
    _give([lead for lead in held if lead.owner_id != to[lead.pk]], to, agents)
    return Spread(assigned=dict(Counter(to.values())))


def lock_agents(pks: Iterable[int], *, banned_too: bool = False) -> dict[int, User]:
    """The users, locked in order so that what they hold can be counted; raises OwnerBanned for a banned one.

    Always before the leads' own locks: two who assign at once wait for each other instead of dying.
    """
    found = User.rows.filter(pk__in=set(pks)).order_by("pk").select_for_update(no_key=True)
    agents = {user.pk: user for user in found}
    for agent in agents.values():
        if not agent.is_active and not banned_too:
            raise OwnerBanned(gettext("%(user)s is banned and can't be given leads.") % {"user": agent})
    return agents


def refuse_over_cap(agent: User, *, taking: int) -> None:
    """Raises LeadCapReached when the locked agent can't take so many more leads that are no customers."""
    if agent.lead_cap is None or taking == 0:
        return
    holds = _active_of([agent.pk])[agent.pk]
    if holds + taking > agent.lead_cap:
        raise LeadCapReached(
            gettext("%(agent)s may hold %(cap)d leads and holds %(held)d: %(more)d more would be too many.")
            % {"agent": agent, "cap": agent.lead_cap, "held": holds, "more": taking},
            lead_cap=agent.lead_cap,
            room=max(0, agent.lead_cap - holds),
        )


def assigned_status() -> LeadStatus | None:
    """Where a lead of Unassigned goes when it gets an owner; none where that status was deleted."""
    status: LeadStatus | None = LeadStatus.rows.filter(role=StatusRole.ASSIGNED).first()
    return status


def _lock(leads: QuerySet[Lead]) -> list[_Held]:
    plain = leads.order_by().values("pk")
    rows = Lead.rows.filter(pk__in=plain).order_by("pk").select_for_update(no_key=True)
    roles = dict(LeadStatus.rows.values_list("pk", "role"))
    return [
        _Held(pk=pk, owner_id=owner_id, status_id=status_id, role=roles[status_id])
        for pk, owner_id, status_id in rows.values_list("pk", "owner_id", "status_id")
    ]


def _active_of(agents: Collection[int], *, but: Collection[int] = ()) -> Counter[int]:
    """How many leads each agent holds, not counting converted ones, nor those in `but`."""
    active = Lead.rows.filter(owner__in=agents).exclude(status__role=StatusRole.CUSTOMER)
    held = Counter(dict(active.order_by().values_list("owner_id").annotate(leads=Count("pk"))))
    for keys in chunks(but):
        held.subtract(
            dict(active.filter(pk__in=keys).order_by().values_list("owner_id").annotate(leads=Count("pk")))
        )
    return held


def _dealt(held: Iterable[_Held], room: dict[int, int | None]) -> dict[int, int]:
    """Each lead's new owner: the agents in turn, passing over those whose room is used up."""
    turns = cycle(room)
    to: dict[int, int] = {}
    waiting = 0
    for lead in held:
        takes = lead.role != StatusRole.CUSTOMER
        agent = next((pk for pk in (next(turns) for _ in room) if not takes or room[pk] != 0), None)
        if agent is None:
            waiting += 1
            continue
        to[lead.pk] = agent
        left = room[agent]
        if takes and left is not None:
            room[agent] = left - 1
    if waiting:
        raise LeadCapReached(
            gettext("The agents have room for %(room)d of these %(count)d leads.")
            % {"room": len(to), "count": len(to) + waiting},
            room=len(to),
        )
    return to


def _give(held: Collection[_Held], to: Mapping[int, int | None], agents: Mapping[int, User]) -> None:
    """Writes the new owners, moves Unassigned leads on, and adds both to the timelines."""
    assigned = assigned_status()
    for owner_id in set(to.values()):
        mine = [lead for lead in held if to[lead.pk] == owner_id]
        moving = [lead for lead in mine if owner_id and assigned and lead.role == StatusRole.UNASSIGNED]
        staying = {lead.pk for lead in mine} - {lead.pk for lead in moving}
        for keys in chunks(lead.pk for lead in moving):
            Lead.rows.filter(pk__in=keys).update(owner=owner_id, status=assigned)
        for keys in chunks(staying):
            Lead.rows.filter(pk__in=keys).update(owner=owner_id)
        if moving and assigned:
            unassigned = LeadStatus.rows.get(pk=moving[0].status_id)
            line = {"from": _named(unassigned), "to": _named(assigned)}
            record(ActivityKind.STATUS_CHANGED, {lead.pk: line for lead in moving})
    names = dict(
        User.rows.filter(pk__in={lead.owner_id for lead in held if lead.owner_id}).values_list("pk", "name")
    )
    names |= {pk: agent.name for pk, agent in agents.items()}
    record(
        ActivityKind.OWNER_CHANGED,
        {lead.pk: {"from": person(lead.owner_id, names), "to": person(to[lead.pk], names)} for lead in held},
    )


def person(pk: int | None, names: Mapping[int, str]) -> dict[str, object] | None:
    """A user as a timeline's line keeps him, so that his name outlives him."""
    return None if pk is None else {"id": pk, "name": names.get(pk, "")}


def _named(status: LeadStatus) -> dict[str, object]:
    return {"id": status.pk, "name": status.name}
