"""How a key's leads are taken in, one or many: what is told of them, and to whom nothing is.

A key that may not read leads (a form that stands in public) learns nothing of them: what it may send is checked
before the number is looked up, and a known number looks to it like a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from apikeys.callers import Caller
from apikeys.permissions import refused
from apikeys.scopes import Scope
from calliyo.api.described import Parameters
from calliyo.api.filters import WordField
from calliyo.api.problems import FieldError, Refusal, refuse_values
from calliyo.unit_of_work import unit_of_work
from leads.api.inputs import named_as_in_json
from leads.models import Campaign
from leads.operations.arrivals import OnDuplicate, create_leads, record_repeats, take_lead
from leads.operations.errors import (
    DuplicateExternalId,
    DuplicatePhone,
    LeadCapReached,
    OwnerBanned,
    UnknownTag,
)
from leads.operations.intake import NewLead
from leads.operations.tags import find_tags

PARAMETERS: Final[Parameters] = {
    "on_duplicate": WordField(
        words=OnDuplicate,
        help_text="What is done with a lead that is known: change it, or leave it as it is.",
    )
}
RULES: Final = (DuplicatePhone, DuplicateExternalId, LeadCapReached, OwnerBanned, UnknownTag)
"""What a lead may break, sent alone or in a batch."""
# What tells or decides how the team works: not for a form that stands in public.
_NOT_FOR_WRITERS_ALONE: Final = ("owner_id", "status")


@dataclass(frozen=True, slots=True)
class Taken:
    """What is answered for a lead: a status, and its id where the caller may know it."""

    status: int
    lead_id: int | None


SILENCE: Final = Taken(202, None)


class Reception:
    """Takes leads in for one request of one key."""

    def __init__(self, caller: Caller, query: Mapping[str, str]) -> None:
        self.silent = not caller.may(Scope.LEADS_READ)
        self.on_duplicate = _on_duplicate(query, silent=self.silent)
        self._key_id = caller.key.pk
        self._may_create_tags = caller.may(Scope.TAGS_WRITE)

    @property
    def context(self) -> dict[str, Any]:
        """What the input's fields need to know; they remember in it what they have looked up."""
        return {"may_create_tags": self._may_create_tags, "seen": {}, "known_tags": set()}

    def refuse_forbidden(self, data: Any) -> None:
        """Refuses a field that this key may not send, whatever its value."""
        if not self.silent or not isinstance(data, Mapping):
            return
        forbidden = [name for name in _NOT_FOR_WRITERS_ALONE if name in data]
        if forbidden:
            detail = f"A key that may not read leads may not send {' or '.join(forbidden)}."
            raise needs_read(detail, fields=forbidden)

    @unit_of_work
    def take(self, values: dict[str, Any]) -> Taken:
        """Takes in one lead, by its checked values; a DomainError names the field as the caller knows it."""
        if self.silent:
            return self._take_in_silence(values)
        with named_as_in_json():
            arrival = take_lead(
                values=cast("NewLead", values),
                on_duplicate=self.on_duplicate,
                may_create_tags=self._may_create_tags,
                api_key_id=self._key_id,
            )
        return Taken(201 if arrival.created else 200, arrival.lead_id)

    @unit_of_work
    def take_new(self, values: list[dict[str, Any]]) -> list[Taken]:
        """Takes in leads none of which is known; all of them, or none."""
        leads = create_leads(
            values=cast("list[NewLead]", values),
            may_create_tags=self._may_create_tags,
            api_key_id=self._key_id,
        )
        return [SILENCE if self.silent else Taken(201, lead.pk) for lead in leads]

    def take_known(self, repeats: list[tuple[int, dict[str, Any]]]) -> None:
        """Leaves known leads as they are, with a line in their timelines, and tells nothing."""
        self.make_tags([name for _, values in repeats for name in values.get("tags", ())])
        record_repeats(repeats=[(pk, _submitted(values)) for pk, values in repeats])

    def make_tags(self, names: list[str]) -> None:
        """Creates tags outside of what a known number rolls back: a new one must not tell that it was new."""
        if names:
            with named_as_in_json():
                find_tags(names=names, may_create=self._may_create_tags)

    def make_new_tags(self, names: list[str]) -> None:
        """Creates the tags of many leads at once, in the order that all keep to, where the key may create any."""
        if self._may_create_tags:
            self.make_tags(names)

    def _take_in_silence(self, values: dict[str, Any]) -> Taken:
        self.make_tags(values.get("tags", []))
        try:
            with named_as_in_json():
                take_lead(
                    values=cast("NewLead", values),
                    on_duplicate=None,
                    may_create_tags=self._may_create_tags,
                    api_key_id=self._key_id,
                )
        except (DuplicatePhone, DuplicateExternalId) as error:
            known = cast("int | None", error.extra["existing_id"])
            record_repeats(repeats=[(known, _submitted(values))] if known is not None else [])
        return SILENCE


def _on_duplicate(query: Mapping[str, str], *, silent: bool) -> OnDuplicate | None:
    if "on_duplicate" not in query:
        return None
    try:
        wanted = OnDuplicate(query["on_duplicate"])
    except ValueError:
        words = " or ".join(OnDuplicate)
        error = FieldError(field="on_duplicate", code="invalid_choice", detail=f"Must be {words}.")
        raise refuse_values(error) from None
    if silent and wanted == OnDuplicate.UPDATE:
        raise needs_read("A key that may not read leads may not update them.", fields=["on_duplicate"])
    return wanted


def _submitted(values: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as the timeline keeps it: rows by their ids."""
    return {name: value.pk if isinstance(value, Campaign) else value for name, value in values.items()}


def needs_read(detail: str, *, fields: list[str] | None = None) -> Refusal:
    """The 403 to a key that would have to read leads for this."""
    errors = (FieldError(field=name, code="insufficient_scope", detail=detail) for name in fields or ())
    return refused(detail, Scope.LEADS_READ, errors=tuple(errors))
