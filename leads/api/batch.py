"""`/public/leads/batch`: up to 200 leads in one request and one unit of work, each judged by itself."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.exceptions import ObjectDoesNotExist
from django.db import DataError, IntegrityError
from rest_framework.exceptions import APIException
from rest_framework.fields import ListField
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.callers import caller_of
from apikeys.scopes import Resource
from calliyo.api.described import described
from calliyo.api.inputs import Input
from calliyo.api.parameters import check_parameters
from calliyo.api.parsers import JSONParser
from calliyo.api.problems import FieldError, members, problem_of, refuse_values
from calliyo.errors import DomainError
from leads.api.lead_inputs import LeadInput
from leads.api.pace import Paced
from leads.api.reception import PARAMETERS, SILENCE, Reception, Taken
from leads.api.shapes import BatchResultsShape
from leads.models import ExternalId, Lead
from leads.operations.arrivals import OnDuplicate, hold_leads

MAX_ITEMS: Final = 200
COST_OF_AN_ITEM: Final = 0.1
# What is wrong with one item and leaves the others whole; all else is the whole request's.
_OF_ONE_ITEM: Final = (DomainError, APIException, IntegrityError, DataError, ObjectDoesNotExist)


class BatchInput(Input):
    """How a batch is described: its items are read one by one, so that a wrong one stops no other."""

    alone = "leads"  # the list may also be sent without the object around it
    leads = ListField(child=LeadInput(), max_length=MAX_ITEMS, help_text=f"At most {MAX_ITEMS} leads.")


class LeadBatchView(Paced):
    """`{"leads": [...]}`, or the list alone; answers `{"results": [{"index", "status", "id" or "error"}]}`."""

    resource = Resource.LEADS
    parser_classes: tuple[type[BaseParser], ...] = (JSONParser,)

    def rate_cost(self, request: Request) -> float:
        """One, and a tenth for each item."""
        try:
            items = _items(self.body(request))
        except APIException:
            return 1  # what is wrong is told when its turn comes
        return 1 + COST_OF_AN_ITEM * len(items)

    @described(
        name="create_leads",
        summary="Create up to 200 leads",
        parameters=PARAMETERS,
        body=BatchInput,
        answers={200: BatchResultsShape},
    )
    def post(self, request: Request) -> Response:
        """Takes the leads in, in their order; a wrong one is answered in its place and stops no other."""
        check_parameters(request.query_params, known=PARAMETERS)
        caller = caller_of(request)
        reception = Reception(caller, request.query_params)
        items = _items(request.data)
        if reception.silent:
            self.answer_in_pace(len(items))
        results = Batch(reception, caller.key.pk).take(items)
        return Response({"results": [_told(index, result) for index, result in enumerate(results)]})


@dataclass(slots=True)
class _Known:
    """Which leads the batch's numbers and external ids belong to; None: to one that this batch has made."""

    phones: dict[str, int | None] = field(default_factory=dict)
    external_ids: dict[str, int | None] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[dict[str, Any]], api_key_id: int) -> "_Known":
        items = list(items)
        phones = Lead.rows.filter(phone__in={values["phone"] for values in items})
        named = {values["external_id"] for values in items if values.get("external_id")}
        external_ids = ExternalId.rows.filter(api_key_id=api_key_id, value__in=named)
        return cls(
            dict(phones.values_list("phone", "pk")), dict(external_ids.values_list("value", "lead_id"))
        )

    def leads(self) -> set[int]:
        """The leads that were there before the batch."""
        return {pk for pk in (*self.phones.values(), *self.external_ids.values()) if pk is not None}

    def knows(self, values: dict[str, Any]) -> bool:
        return values["phone"] in self.phones or values.get("external_id") in self.external_ids

    def moves(self, values: dict[str, Any]) -> bool:
        """Whether, as a change, it may give the lead that bears its external id another number."""
        lead = self.external_ids.get(values.get("external_id", ""))
        known = values.get("external_id") in self.external_ids
        return known and (lead is None or self.phones.get(values["phone"]) != lead)

    def lead_of(self, values: dict[str, Any]) -> int | None:
        external_id = values.get("external_id")
        if external_id in self.external_ids:
            return self.external_ids[external_id]
        return self.phones.get(values["phone"])

    def add(self, values: dict[str, Any]) -> None:
        self.phones[values["phone"]] = None
        if values.get("external_id"):
            self.external_ids[values["external_id"]] = None


class Batch:
    """Takes leads in as single requests would in this order, but runs of new ones in a few statements."""

    def __init__(self, reception: Reception, api_key_id: int) -> None:
        self._reception = reception
        self._api_key_id = api_key_id
        self._results: dict[int, Taken | Exception] = {}

    def take(self, items: list[Any]) -> list[Taken | Exception]:
        """What becomes of each item, in their order."""
        checked = self._checked(items)
        if self._reception.silent:
            # All at once and first, so that neither order nor time tells which numbers were known.
            self._reception.make_tags(
                [name for values in checked.values() for name in values.get("tags", ())]
            )
        known = _Known.of(checked.values(), self._api_key_id)
        updating = self._reception.on_duplicate == OnDuplicate.UPDATE
        if updating:
            self._reception.make_new_tags([name for one in checked.values() for name in one.get("tags", ())])
            hold_leads(leads=known.leads(), owners=_owners(checked.values()))
        new, later = _parted(checked, known, updating=updating)
        # First, and all in the order of their phones: two batches that make the same leads wait for each other.
        self._take_new(_by_phone(new))
        if self._reception.silent:
            later = self._take_known({index: checked[index] for index in later})
        for index in later:
            self._take_one(index, checked[index])
        return [self._results[index] for index in range(len(items))]

    def _checked(self, items: list[Any]) -> dict[int, dict[str, Any]]:
        """The values of the items that can be taken."""
        reader = LeadInput(context=self._reception.context)
        checked = {}
        for index, item in enumerate(items):
            try:
                self._reception.refuse_forbidden(item)
                checked[index] = reader.run_validation(item)
            except APIException as error:
                self._results[index] = error
        return checked

    def _take_new(self, new: dict[int, dict[str, Any]]) -> None:
        """All in one, in a savepoint; where one of them is refused, by halves, so that the others are whole."""
        if len(new) <= 1:
            for index, values in new.items():
                self._take_one(index, values)
            return
        try:
            taken = self._reception.take_new(list(new.values()))
        except _OF_ONE_ITEM:
            indexes = list(new)
            middle = len(indexes) // 2
            for half in (indexes[:middle], indexes[middle:]):
                self._take_new({index: new[index] for index in half})
        else:
            self._results.update(zip(new, taken, strict=True))

    def _take_known(self, repeats: dict[int, dict[str, Any]]) -> list[int]:
        """All in one, whether this batch has made their leads or not; gives those whose lead is not there after all."""
        known = _Known.of(repeats.values(), self._api_key_id)
        leads = {index: known.lead_of(values) for index, values in repeats.items()}
        self._reception.take_known([(pk, repeats[index]) for index, pk in leads.items() if pk is not None])
        self._results.update((index, SILENCE) for index, pk in leads.items() if pk is not None)
        return [index for index, pk in leads.items() if pk is None]

    def _take_one(self, index: int, values: dict[str, Any]) -> None:
        try:
            self._results[index] = self._reception.take(values)
        except _OF_ONE_ITEM as error:
            self._results[index] = error


def _parted(
    checked: dict[int, dict[str, Any]], known: _Known, *, updating: bool
) -> tuple[dict[int, dict[str, Any]], list[int]]:
    """The new leads, which may go first, and those that have to wait for their turn."""
    new: dict[int, dict[str, Any]] = {}
    later: list[int] = []
    taken: set[str | None] = set()  # external ids that changes before may have taken
    moved = False  # whether a change before may have taken or freed a number
    for index, values in checked.items():
        if known.knows(values):
            moved |= known.moves(values)
            taken.add(values.get("external_id"))
            later.append(index)
            continue
        known.add(values)
        # Its owner may have less or more room after a change that comes before.
        owned = values.get("owner") is not None
        waits = later and updating and (moved or owned or values.get("external_id") in taken - {None})
        if waits:
            later.append(index)
        else:
            new[index] = values
    return new, later


def _by_phone(new: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """In one order for all, also of the halves: batches of the same leads wait for each other, and none dies."""
    return dict(sorted(new.items(), key=lambda item: item[1]["phone"]))


def _owners(items: Iterable[dict[str, Any]]) -> set[int]:
    return {values["owner"].pk for values in items if values.get("owner") is not None}


def _items(data: Any) -> list[Any]:
    """The items of the body; a Refusal where it is no list of at most 200."""
    items = data
    if isinstance(data, dict):
        unknown = [
            FieldError(field=name[:100], code="unknown_field", detail="There is no such field here.")
            for name in data
            if name != "leads"
        ]
        if unknown:
            raise refuse_values(*unknown)
        items = data.get("leads")
    if not isinstance(items, list):
        raise refuse_values(FieldError(field="leads", code="not_a_list", detail="Must be a list of leads."))
    if len(items) > MAX_ITEMS:
        detail = f"A batch has at most {MAX_ITEMS} leads, not {len(items)}."
        raise refuse_values(FieldError(field="leads", code="too_many", detail=detail))
    return items


def _told(index: int, result: Taken | Exception) -> dict[str, Any]:
    if isinstance(result, Exception):
        problem = problem_of(result)
        return {"index": index, "status": problem.status, "error": members(problem)}
    told = {"index": index, "status": result.status}
    return told if result.lead_id is None else told | {"id": result.lead_id}
