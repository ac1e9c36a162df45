"""From the models' signals to Event and Delivery rows, in the transaction of the change itself.

The first picture of a row is what the database held when it was locked; the last is read once, at the end of the unit
of work; their difference is what happened. A picture that was taken in a savepoint goes with it: its lock has gone.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.db import transaction

from calliyo.publisher import poke_webhooks
from calliyo.unit_of_work import UnitOfWork
from leads import signals
from leads.models import Call, FollowUp, Lead, LeadStatus, Note
from leads.models.locking import Row, chunks
from leads.pictures import (
    CALL_COLUMNS,
    FOLLOW_UP_COLUMNS,
    LEAD_COLUMNS,
    NOTE_COLUMNS,
    Picture,
    call_picture,
    follow_up_picture,
    lead_picture,
    note_picture,
    read_leads,
    tags_of,
)
from webhooks.catalogue import EventType
from webhooks.collected import CAPTURED, Collected, Seen
from webhooks.facts import Fact, lead_facts
from webhooks.recording import record


def connect() -> None:
    """Begins to listen to the CRM's writes."""
    for model in CAPTURED:
        signals.rows_changing.connect(
            _rows_changing, sender=model, dispatch_uid=f"capture.changing.{model.__name__}"
        )
        signals.rows_created.connect(
            _rows_created, sender=model, dispatch_uid=f"capture.created.{model.__name__}"
        )
    signals.rows_changing.connect(_statuses_changing, sender=LeadStatus, dispatch_uid="capture.statuses")
    signals.rows_written.connect(_leads_written, sender=Lead, dispatch_uid="capture.written")
    signals.tags_changing.connect(_tags_changing, sender=Lead, dispatch_uid="capture.tags")


def _collected(unit: UnitOfWork) -> Collected:
    if Collected not in unit.notes:
        unit.notes[Collected] = Collected()
        unit.at_end(lambda: _write_down(unit, unit.notes.pop(Collected)))
    collected: Collected = unit.notes[Collected]
    return collected


def _rows_changing(sender: type[Any], unit: UnitOfWork, rows: dict[int, Row], **_: Any) -> None:
    _collected(unit).saw_first(sender, rows, unit)


def _rows_created(sender: type[Any], unit: UnitOfWork, pks: Collection[int], **_: Any) -> None:
    marker = unit.marker()
    _collected(unit).first[sender].update((pk, Seen(None, marker)) for pk in pks)


def _statuses_changing(sender: type[Any], unit: UnitOfWork, rows: dict[int, Row], **_: Any) -> None:
    # One that is deleted once its leads have moved is still what they came from.
    _collected(unit).status_names.update((pk, row["name"]) for pk, row in rows.items())


def _leads_written(sender: type[Any], unit: UnitOfWork, rows: dict[int, Row | None], **_: Any) -> None:
    marker = unit.marker()
    _collected(unit).last_leads.update((pk, Seen(row, marker)) for pk, row in rows.items())


def _tags_changing(sender: type[Any], unit: UnitOfWork, pks: Collection[int], **_: Any) -> None:
    collected, marker = _collected(unit), unit.marker()
    known = collected.first_tags
    unseen = [pk for pk in pks if pk not in known or not unit.survives(known[pk][1])]
    for keys in chunks(unseen):
        # Asked after the lock, in a statement of its own: what a rival changed while we waited is seen.
        names = tags_of(keys)
        known.update((pk, (names.get(pk, []), marker)) for pk in keys)


def _write_down(unit: UnitOfWork, collected: Collected) -> None:
    """Compares first and last pictures, and writes the events and deliveries."""
    collected.forget_rolled_back()
    others = [*_call_facts(collected), *_follow_up_facts(unit, collected), *_note_facts(collected)]
    shown = {*collected.first[Lead], *(fact.lead_id for fact in others)}
    leads = _last_leads(shown, collected)
    facts: list[Fact] = []
    if collected.first[Lead]:
        names = _status_names(collected, leads)
        for pk, first in collected.first[Lead].items():
            if pk in leads:
                before = (
                    None if first.row is None else _first_lead(pk, first.row, leads[pk], collected, names)
                )
                facts += lead_facts(before, leads[pk])
    facts += [fact.with_lead(leads[fact.lead_id]) for fact in others if fact.lead_id in leads]
    if facts:
        told = record(facts, unit.stamp())
        if told:
            # Lost? The engine's sweep finds the rows.
            transaction.on_commit(lambda: poke_webhooks(told), robust=True)


def _last_leads(pks: Iterable[int], collected: Collected) -> dict[int, Picture]:
    """The leads as they are now, as far as they exist; read once, but for those that a plain save has told."""
    leads: dict[int, Picture] = {}
    unknown = []
    for pk in pks:
        picture = collected.known_lead(pk)
        if picture is None:
            unknown.append(pk)
        else:
            leads[pk] = picture
    for keys in chunks(unknown):
        leads |= read_leads(keys)
    return leads


def _first_lead(pk: int, row: Row, last: Picture, collected: Collected, names: dict[int, str]) -> Picture:
    """The lead as it was. Where its status is the same, so is the name: renaming a status changes no lead."""
    status = row["status_id"]
    name = last["status"]["name"] if status == last["status"]["id"] else names[status]
    columns = tuple(name if column == "status__name" else row[column] for column in LEAD_COLUMNS)
    tags, _ = collected.first_tags.get(pk, (last["tags"], None))
    return lead_picture(columns, tags=tags)


def _status_names(collected: Collected, leads: dict[int, Picture]) -> dict[int, str]:
    """The names of the statuses that leads have left: as the lock read them, else looked up together."""
    names = dict(collected.status_names)
    unknown = set()
    for pk, first in collected.first[Lead].items():
        if first.row is not None and pk in leads and first.row["status_id"] != leads[pk]["status"]["id"]:
            status = first.row["status_id"]
            if "status__name" in first.row:
                names[status] = first.row["status__name"]
            elif status not in names:
                unknown.add(status)
    if unknown:
        names |= dict(LeadStatus.rows.filter(pk__in=unknown).values_list("pk", "name"))
    return names


def _last_rows(
    model: type[Any], columns: tuple[str, ...], pictures: dict[int, Seen], more: str | None = None
) -> Iterable[tuple[Seen, tuple[Any, ...], Any]]:
    """First picture, last row in `columns`, and the last value of `more`, in the order of their first touch."""
    last: dict[int, tuple[Any, ...]] = {}
    names = columns if more is None else (*columns, more)
    for keys in chunks(pictures):
        last |= {row[0]: row for row in model.rows.filter(pk__in=keys).values_list(*names)}
    for pk, first in pictures.items():
        if pk in last:
            row = last[pk]
            yield (first, row, None) if more is None else (first, row[:-1], row[-1])


def _call_facts(collected: Collected) -> Iterable[Fact]:
    open_before = _only(collected.first[Call], lambda row: row["completed_at"] is None)
    for _, row, completed_at in _last_rows(Call, CALL_COLUMNS, open_before, "completed_at"):
        if completed_at is not None:
            picture = call_picture(row)
            yield Fact(EventType.CALL_COMPLETED, picture["lead_id"], {"call": picture})


def _follow_up_facts(unit: UnitOfWork, collected: Collected) -> Iterable[Fact]:
    open_before = _only(collected.first[FollowUp], lambda row: row["resolved_at"] is None)
    for first, row, resolved_at in _last_rows(FollowUp, FOLLOW_UP_COLUMNS, open_before, "resolved_at"):
        picture = follow_up_picture(row, now=unit.stamp())
        if first.row is None:
            yield Fact(EventType.FOLLOW_UP_CREATED, picture["lead_id"], {"follow_up": picture})
        if resolved_at is not None:
            yield Fact(EventType.FOLLOW_UP_COMPLETED, picture["lead_id"], {"follow_up": picture})


def _note_facts(collected: Collected) -> Iterable[Fact]:
    for _, row, _ in _last_rows(Note, NOTE_COLUMNS, _only(collected.first[Note], lambda _: False)):
        picture = note_picture(row)
        yield Fact(EventType.NOTE_ADDED, picture["lead_id"], {"note": picture})


def _only(pictures: dict[int, Seen], wanted: Callable[[Row], bool]) -> dict[int, Seen]:
    """Those that the unit made, and those whose first picture is wanted."""
    return {pk: first for pk, first in pictures.items() if first.row is None or wanted(first.row)}
