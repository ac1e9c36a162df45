"""What happened to a lead between two pictures: pure, so that it can be read and tested without a database."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from leads.pictures import Picture
from webhooks.catalogue import EventType

# They move with every touch, or are one key's own business: no change of the lead to others.
NOT_CHANGES = frozenset({"version", "updated_at", "external_id"})


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to be: its type, its lead, and the body's `data`."""

    type: EventType
    lead_id: int
    data: dict[str, Any]

    def with_lead(self, lead: Picture) -> "Fact":
        """The same fact with the lead's picture beside its own."""
        return Fact(self.type, self.lead_id, {**self.data, "lead": lead})


def lead_changes(before: Picture | None, after: Picture) -> dict[str, Any]:
    """The JSON fields that differ, as `{"from", "to"}`; of a new lead those that are not null, from null."""
    if before is None:
        return {
            name: {"from": None, "to": value}
            for name, value in after.items()
            if name not in NOT_CHANGES and value is not None
        }
    changes = {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        if name not in NOT_CHANGES and before[name] != value
    }
    if "status" not in changes:
        # A customer who left and came back within the unit: A→B→A is nothing.
        changes.pop("converted_at", None)
    return changes


def lead_facts(before: Picture | None, after: Picture) -> Iterable[Fact]:
    """The lead's facts in the contract's order: created, updated, status_changed, assigned, converted."""
    changes = lead_changes(before, after)
    pk = after["id"]
    told = {"lead": after, "changes": changes}
    if before is None:
        yield Fact(EventType.LEAD_CREATED, pk, {"lead": after})
    elif changes:
        yield Fact(EventType.LEAD_UPDATED, pk, told)
        if "status" in changes:
            yield Fact(EventType.LEAD_STATUS_CHANGED, pk, told)
    if "owner_id" in changes:
        yield Fact(EventType.LEAD_ASSIGNED, pk, told)
    if (
        after["converted_at"] is not None
        and "converted_at" in changes
        and (before is None or before["converted_at"] is None)
    ):
        yield Fact(EventType.LEAD_CONVERTED, pk, told)
