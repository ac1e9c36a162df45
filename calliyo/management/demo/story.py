"""One demo lead's whole history, drawn from its number alone: the same number is the same person.

Pure: nothing here touches the database. Moments are drawn backwards from `now`, in the team's office hours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from random import Random
from typing import TypedDict
from zoneinfo import ZoneInfo

from calliyo.management.demo import words

HISTORY_DAYS = 60
OPENS, CLOSES = time(9, 40), time(19, 20)

# Indian mobile ranges that the numbering plan knows and no operator serves: valid, and nobody's phone rings.
_RANGES = (
    *range(6010, 6020),
    *range(6140, 6150),
    *range(6480, 6510),
    *range(6660, 6670),
    *range(6690, 6710),
    *range(6870, 6900),
    *range(6920, 7000),
)
_NUMBERS = len(_RANGES) * 1_000_000
# Coprime to the number of numbers, so that stepping by it meets each once before any comes again.
_STEP = 104_395_301


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStory:
    """One call; `duration` is the time spoken, none for a call that did not connect."""

    incoming: bool
    status: str
    started_at: datetime
    ended_at: datetime
    duration: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpStory:
    """One promise to call again; open without `resolved_at`."""

    created_at: datetime
    due_at: datetime
    note: str
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteStory:
    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStory:
    """The lead moved to the status of this name."""

    at: datetime
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStory:
    plan: str
    amount: str
    payment_status: str


class Person(TypedDict):
    """What a form asks."""

    first_name: str
    last_name: str
    phone: str
    email: str
    source: str


@dataclass(slots=True, kw_only=True)
class LeadStory:
    """One lead with everything that happened to it; `owner` and `campaign` are places in the demo's lists."""

    first_name: str
    last_name: str
    phone: str
    email: str
    source: str
    campaign: int | None
    tags: Sequence[str]
    status: str
    owner: int | None
    created_at: datetime
    assigned_at: datetime | None = None
    calls: list[CallStory] = field(default_factory=list)
    follow_ups: list[FollowUpStory] = field(default_factory=list)
    notes: list[NoteStory] = field(default_factory=list)
    moves: list[MoveStory] = field(default_factory=list)
    order: OrderStory | None = None
    converted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Plot:
    """How leads of one status got there: their share in a hundred, each call's status and kind of note."""

    share: int
    calls: Sequence[tuple[str, str]] = ()
    maybe_unanswered_first: bool = False


_PLOTS: Mapping[str, _Plot] = {
    "Unassigned": _Plot(8),
    "Assigned": _Plot(11),
    "Followups": _Plot(19, (("follow_up", "first"),), maybe_unanswered_first=True),
    "Interested": _Plot(14, (("called", "first"), ("called", "interested")), maybe_unanswered_first=True),
    "Not Interested": _Plot(13, (("called", "not_interested"),), maybe_unanswered_first=True),
    "Busy": _Plot(6, (("busy", ""),), maybe_unanswered_first=True),
    "Not Picked": _Plot(10, (("no_answer", ""),), maybe_unanswered_first=True),
    "Missed": _Plot(3, (("no_answer", ""), ("missed", ""))),
    "Wrong Number": _Plot(4, (("called", "wrong_number"),)),
    "Customer": _Plot(
        12,
        (("called", "first"), ("follow_up", "followups"), ("called", "interested"), ("called", "customer")),
        maybe_unanswered_first=True,
    ),
}
# The ends of a call that promise another one.
_PROMISES = {"follow_up", "rescheduled"}
# The statuses that a caller sets after a call of this kind, on the way to the last one.
_AFTER = {"first": "Interested", "followups": "Followups", "interested": "Interested", "customer": "Customer"}


def phone_of(index: int) -> str:
    """The E.164 number of demo lead `index`: no two are alike, and neighbours look nothing alike."""
    place = (index * _STEP + 7_654_321) % _NUMBERS
    return f"+91{_RANGES[place // 1_000_000]}{place % 1_000_000:06d}"


def lead_story(index: int, *, now: datetime, zone: ZoneInfo, agents: int) -> LeadStory:
    """Everything about demo lead `index` as it stands at `now`, for a team of so many agents."""
    random = Random(f"calliyo demo lead {index}")  # noqa: S311  # the same each time is what is wanted
    status = random.choices(list(_PLOTS), [plot.share for plot in _PLOTS.values()])[0]
    outcomes = _outcomes(_PLOTS[status], random)
    created_at = _arrival(status, len(outcomes), now=now, random=random)
    lead = LeadStory(
        **_person(index, random),
        campaign=_campaign(created_at, now=now, random=random),
        tags=_tags(random),
        status=status,
        owner=None if status == "Unassigned" else random.randrange(agents),
        created_at=created_at,
    )
    if lead.owner is not None:
        lead.assigned_at = min(created_at + timedelta(minutes=random.randint(2, 240)), now)
        lead.moves.append(MoveStory(at=lead.assigned_at, to="Assigned"))
        _tell_calls(lead, outcomes, zone=zone, random=random)
        _tell_follow_ups(lead, now=now, zone=zone, random=random)
    _tell_notes(lead, now=now, zone=zone, random=random)
    return lead


def _person(index: int, random: Random) -> Person:
    _, given, family = random.choices(words.NAMES, [share for share, _, _ in words.NAMES])[0]
    first_name, last_name = random.choice(given.split()), random.choice(family.split())
    if random.random() < 0.06:
        last_name = ""  # forms that ask for one name only
    email = ""
    if random.random() < 0.62:
        local = ".".join(part.lower().replace("'", "") for part in (first_name, last_name) if part)
        number = random.choice(("", random.randint(1, 99), random.randint(1986, 2006)))
        email = f"{local}{number}@{_mail_host(random)}"
    return {
        "first_name": first_name,
        "last_name": last_name,
        "phone": phone_of(index),
        "email": email,
        "source": random.choices(list(words.SOURCES), list(words.SOURCES.values()))[0],
    }


def _mail_host(random: Random) -> str:
    return random.choice(("example.com", "example.com", "example.org", "example.net"))


def _campaign(created_at: datetime, *, now: datetime, random: Random) -> int | None:
    """A campaign that was running when the lead came in, or none."""
    days = (created_at - now).days
    shares: dict[int | None, int] = {
        place: share
        for place, (_, _, starts, ends, share) in enumerate(words.CAMPAIGNS)
        if share and starts <= days and (ends is None or days <= ends)
    }
    shares[None] = 25
    return random.choices(list(shares), list(shares.values()))[0]


def _tags(random: Random) -> list[str]:
    return [tag for tag, share in words.TAGS.items() if random.random() < share / 100]


def _outcomes(plot: _Plot, random: Random) -> list[tuple[str, str]]:
    unanswered = random.choices((0, 1, 2), (5, 4, 1))[0] if plot.maybe_unanswered_first else 0
    vain = [(random.choice(("no_answer", "no_answer", "busy")), "") for _ in range(unanswered)]
    return vain + [
        ("rescheduled" if status == "follow_up" and random.random() < 0.3 else status, kind)
        for status, kind in plot.calls
    ]


def _arrival(status: str, calls: int, *, now: datetime, random: Random) -> datetime:
    """When the lead came in: long enough ago for all its calls; what nobody owns yet is new."""
    if status == "Unassigned":
        return now - timedelta(minutes=random.randint(1, 26 * 60))
    if status == "Assigned":
        return now - timedelta(minutes=random.randint(20, 40 * 60))
    # A call comes up to two days after the one before, and a Sunday and a night may lie between.
    least = 3.8 * calls
    return now - timedelta(days=least + random.betavariate(1, 1.7) * (HISTORY_DAYS - least))


def _in_office(moment: datetime, zone: ZoneInfo, random: Random) -> datetime:
    """The moment itself within office hours; else one in the first hours of the next office day."""
    local = moment.astimezone(zone)
    if local.time() >= CLOSES:
        local += timedelta(days=1)
    elif local.time() >= OPENS and local.weekday() != 6:
        return moment
    if local.weekday() == 6:
        local += timedelta(days=1)
    opening = datetime.combine(local.date(), OPENS, tzinfo=zone)
    return opening + timedelta(seconds=random.randint(0, 3 * 3600))


def _tell_calls(
    lead: LeadStory, outcomes: Sequence[tuple[str, str]], *, zone: ZoneInfo, random: Random
) -> None:
    moment = lead.assigned_at or lead.created_at
    for place, (status, kind) in enumerate(outcomes):
        first_wait = timedelta(minutes=random.randint(4, 300))
        later_wait = timedelta(hours=random.uniform(5, 48))
        moment = _in_office(moment + (later_wait if place else first_wait), zone, random)
        call = _call(status, kind, started_at=moment, random=random)
        lead.calls.append(call)
        last = place == len(outcomes) - 1
        to = lead.status if last else _AFTER.get(kind, "Not Picked")
        if lead.moves[-1].to != to:
            lead.moves.append(MoveStory(at=call.ended_at, to=to))
        moment = call.ended_at
    if lead.status == "Customer":
        lead.converted_at = moment
        plan, amount = random.choice(words.PLANS)
        payment = random.choices(("paid", "partial", "pending", "refunded"), (55, 28, 14, 3))[0]
        lead.order = OrderStory(plan=plan, amount=amount, payment_status=payment)


def _call(status: str, kind: str, *, started_at: datetime, random: Random) -> CallStory:
    spoken = _spoken(kind, random)
    ringing = 0 if spoken else random.randint(4, 42)
    note = random.choice(words.CALL_NOTES[kind]) if kind else ""
    return CallStory(
        incoming=status == "missed" or (bool(spoken) and random.random() < 0.12),
        status=status,
        started_at=started_at,
        ended_at=started_at + timedelta(seconds=spoken or ringing),
        duration=spoken,
        note=note,
    )


def _spoken(kind: str, random: Random) -> int:
    """Seconds spoken, by what the call was about: a refusal is short, a course is explained for minutes."""
    match kind:
        case "":
            return 0
        case "wrong_number":
            return random.randint(9, 31)
        case "not_interested":
            return random.randint(18, 160)
        case _:
            return min(int(random.lognormvariate(5.2, 0.6)) + 25, 1500)


def _tell_follow_ups(lead: LeadStory, *, now: datetime, zone: ZoneInfo, random: Random) -> None:
    """Each call that ended in a follow-up had one, done by the next call; in Followups the last is open."""
    for place, call in enumerate(lead.calls):
        if call.status not in _PROMISES:
            continue
        later = lead.calls[place + 1 :]
        lead.follow_ups.append(
            FollowUpStory(
                created_at=call.ended_at,
                due_at=later[0].started_at.replace(minute=0, second=0, microsecond=0)
                if later
                else _open_due(call.ended_at, now=now, zone=zone, random=random),
                note=random.choice(words.FOLLOW_UP_NOTES),
                resolved_at=later[0].ended_at if later else None,
            )
        )
    if lead.converted_at and random.random() < 0.25:  # a customer stays a customer, whatever is scheduled
        due_at = _open_due(lead.converted_at, now=now, zone=zone, random=random)
        lead.follow_ups.append(
            FollowUpStory(
                created_at=lead.converted_at, due_at=due_at, note="Second instalment, remind politely"
            )
        )


def _open_due(after: datetime, *, now: datetime, zone: ZoneInfo, random: Random) -> datetime:
    """When an open follow-up is due: a third today, a quarter overdue by days, the rest in days to come."""
    days = random.choices((0, -random.randint(1, 5), random.randint(1, 12)), (33, 25, 42))[0]
    day = (now.astimezone(zone) + timedelta(days=days)).date()
    due_at = datetime.combine(day, time(random.randint(10, 18), random.choice((0, 15, 30, 45))), tzinfo=zone)
    return due_at if due_at > after else _in_office(now + timedelta(hours=2), zone, random)


def _tell_notes(lead: LeadStory, *, now: datetime, zone: ZoneInfo, random: Random) -> None:
    if not lead.calls:
        return
    talked = [call for call in lead.calls if call.duration]
    if talked and random.random() < 0.35:
        at = talked[0].ended_at + timedelta(minutes=random.randint(1, 6))
        lead.notes.append(NoteStory(at=at, text=random.choice(words.NOTES)))
    if lead.converted_at and random.random() < 0.6:
        at = _in_office(lead.converted_at + timedelta(days=random.uniform(0.1, 1.5)), zone, random)
        if at < now:
            lead.notes.append(NoteStory(at=at, text=random.choice(words.CUSTOMER_NOTES)))
