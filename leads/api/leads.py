"""`/public/leads`: the list, one lead, a new one, changes; and the silence of keys that may only write."""

from typing import Any, cast

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.browser_forms import OpenToBrowserForms
from apikeys.scopes import Resource, Scope
from calliyo.api.described import described
from calliyo.api.inputs import read_input
from calliyo.api.parameters import check_parameters
from calliyo.api.request_id import current_request_id
from calliyo.api.views import id_in_path
from leads.api.base import CRMViewSet, own_external_id, tag_names, with_spelled_times
from leads.api.campaigns import CampaignViewSet
from leads.api.filters import LeadFilters
from leads.api.inputs import named_as_in_json
from leads.api.lead_inputs import LeadChangesInput, LeadInput
from leads.api.pace import Paced
from leads.api.reception import PARAMETERS, RULES, Reception, needs_read
from leads.api.shapes import AcceptedShape, LeadShape
from leads.api.users import UserViewSet
from leads.api.writing import ignored
from leads.models import Lead
from leads.operations.intake import LeadChanges, update_lead
from leads.pictures import LEAD_COLUMNS, Picture, lead_of_list


class LeadViewSet(CRMViewSet, OpenToBrowserForms, Paced):
    resource = Resource.LEADS
    model = Lead
    columns = LEAD_COLUMNS
    shape = LeadShape
    filters = LeadFilters
    input = LeadInput
    changes_input = LeadChangesInput
    refusals = RULES

    @classmethod
    def expandable(cls) -> dict[str, type[CRMViewSet]]:
        return {"owner": UserViewSet, "campaign": CampaignViewSet}

    @classmethod
    def columns_read(cls) -> tuple[Any, ...]:
        return (*with_spelled_times(cls.columns), tag_names(), own_external_id())

    def is_open_to_browsers(self) -> bool:
        """The list's address, where forms post to; single leads have nothing for them."""
        return not self.detail

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [lead_of_list(row) for row in rows]

    @described(parameters=PARAMETERS, answers={200: LeadShape, 201: LeadShape, 202: AcceptedShape})
    def create(self, request: Request) -> HttpResponse | Response:
        """A new lead: 201 with it, or 202 and nothing of it to a key that may not read leads.

        With `?on_duplicate=update` or `ignore` a known lead is no mistake: 200 with it.
        """
        check_parameters(request.query_params, known=PARAMETERS)
        reception = Reception(self.caller, request.query_params)
        reception.refuse_forbidden(request.data)
        read = read_input(request, self.input, context=reception.context)
        if reception.silent:
            self.answer_in_pace()
        taken = reception.take(read.values)
        if taken.lead_id is None:
            told = {"accepted": True, "request_id": current_request_id()} | ignored(read)
            return Response(told, status=taken.status)
        answer = self.object_answer(self.picture_of(taken.lead_id) | ignored(read), status=taken.status)
        answer["Location"] = f"/public/leads/{taken.lead_id}"
        return answer

    @described(answers={200: LeadShape}, also_needs=(Scope.LEADS_READ,))
    def partial_update(self, request: Request, pk: str) -> HttpResponse:
        """Writes the fields that the body names and no other."""
        check_parameters(request.query_params, known=())
        if not self.may_read():
            raise needs_read("A key that may not read leads may not change them either.")
        lead_id = id_in_path(pk)
        self.check_if_match(lead_id)
        may_create_tags = self.caller.may(Scope.TAGS_WRITE)
        context = {"may_create_tags": may_create_tags}
        read = read_input(request, self.changes_input, partial=True, context=context)
        with named_as_in_json():
            update_lead(
                lead=Lead.rows.get(pk=lead_id),
                changes=cast("LeadChanges", read.values),
                may_create_tags=may_create_tags,
                api_key_id=self.caller.key.pk,
            )
        return self.object_answer(self.picture_of(lead_id) | ignored(read))
