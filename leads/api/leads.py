"""`/public/leads`: the list, one lead, a new one, changes; and the silence of keys that may only write."""

from typing import Any, cast

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.scopes import Resource, Scope
from calliyo.api.inputs import Input, Read, read_input
from calliyo.api.parameters import check_parameters
from calliyo.api.problems import FieldError, Refusal
from calliyo.api.request_id import current_request_id
from calliyo.api.views import read_id
from leads.api.base import CRMViewSet, external_id_for, tag_names
from leads.api.filters import LeadFilters
from leads.api.inputs import RowField, StatusField, TextField, named_as_in_json
from leads.api.writing import ignored
from leads.models import Campaign, Lead, User
from leads.operations.errors import DuplicateExternalId, DuplicatePhone
from leads.operations.intake import LeadChanges, create_lead, record_repeat, update_lead
from leads.operations.tags import find_tags
from leads.pictures import LEAD_COLUMNS, Picture, in_order, lead_picture

MAX_TAGS = 50
# What tells or decides how the team works: not for a form that stands in public.
_NOT_FOR_WRITERS_ALONE = ("owner_id", "status")


def _names(**options: Any) -> serializers.ListField:
    return serializers.ListField(
        child=TextField(max_length=100), max_length=MAX_TAGS, required=False, **options
    )


class LeadInput(Input):
    first_name = TextField(max_length=100)
    last_name = TextField(max_length=100, required=False, allow_blank=True, allow_null=True)
    phone = TextField(max_length=64)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True, allow_null=True)
    status = StatusField(required=False)
    owner_id = RowField(model=User, source="owner", required=False, allow_null=True)
    campaign_id = RowField(model=Campaign, source="campaign", required=False, allow_null=True)
    source = TextField(  # type: ignore[assignment]  # taken out of the class before a serializer reads its own
        max_length=100, required=False, allow_blank=True, allow_null=True
    )
    external_id = TextField(max_length=255, required=False, allow_null=True)
    tags = _names()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A text that is not there is empty, as the picture shows it."""
        for name in ("last_name", "email", "source"):
            if name in attrs and attrs[name] is None:
                attrs[name] = ""
        return attrs


class LeadChangesInput(LeadInput):
    add_tags = _names()
    remove_tags = _names()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`tags` replaces the set, the other two change it: both at once would contradict each other."""
        if "tags" in attrs and not {"add_tags", "remove_tags"}.isdisjoint(attrs):
            raise serializers.ValidationError(
                {"tags": "Send either tags, or add_tags and remove_tags."}, code="contradiction"
            )
        return super().validate(attrs)


class LeadViewSet(CRMViewSet):
    resource = Resource.LEADS
    model = Lead
    columns = LEAD_COLUMNS
    filters = LeadFilters

    def columns_read(self) -> tuple[Any, ...]:
        return (*self.columns, tag_names(), external_id_for(self.caller.key.pk))

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [
            lead_picture(tuple(row), tags=in_order(tags), external_id=external_id)
            for *row, tags, external_id in rows
        ]

    def create(self, request: Request) -> HttpResponse | Response:
        """A new lead: 201 with it, or 202 and nothing of it to a key that may not read leads."""
        check_parameters(request.query_params, known=())
        if not self.caller.may(Scope.LEADS_READ):
            return self._create_in_silence(request)
        read = read_input(request, LeadInput)
        with named_as_in_json():
            lead = self._created(read)
        answer = self.object_answer(self.picture_of(lead.pk) | ignored(read), status=201)
        answer["Location"] = f"/public/leads/{lead.pk}"
        return answer

    def partial_update(self, request: Request, pk: str) -> HttpResponse:
        """Writes the fields that the body names and no other."""
        check_parameters(request.query_params, known=())
        if not self.caller.may(Scope.LEADS_READ):
            raise _needs_read("A key that may not read leads may not change them either.")
        lead_id = read_id(pk)
        self.check_if_match(lead_id)
        read = read_input(request, LeadChangesInput, partial=True)
        with named_as_in_json():
            update_lead(
                lead=Lead.rows.get(pk=lead_id),
                changes=cast("LeadChanges", read.values),
                may_create_tags=self.caller.may(Scope.TAGS_WRITE),
                api_key_id=self.caller.key.pk,
            )
        return self.object_answer(self.picture_of(lead_id) | ignored(read))

    def _created(self, read: Read) -> Lead:
        return create_lead(
            **read.values,
            may_create_tags=self.caller.may(Scope.TAGS_WRITE),
            created_by_key_id=self.caller.key.pk,
        )

    def _create_in_silence(self, request: Request) -> Response:
        """Answers alike for a new number and a known one, which is left as it is but for its timeline."""
        if isinstance(request.data, dict):
            forbidden = [name for name in _NOT_FOR_WRITERS_ALONE if name in request.data]
            if forbidden:
                detail = f"A key that may not read leads may not send {' or '.join(forbidden)}."
                raise _needs_read(detail, fields=forbidden)
        read = read_input(request, LeadInput)
        with named_as_in_json():
            # Outside of what a known number rolls back: a new tag must not tell that the number was new.
            find_tags(names=read.values.get("tags", ()), may_create=self.caller.may(Scope.TAGS_WRITE))
        try:
            with named_as_in_json():
                self._created(read)
        except (DuplicatePhone, DuplicateExternalId) as error:
            known = Lead.rows.filter(pk=cast("int", error.extra["existing_id"])).first()
            if known is not None:
                record_repeat(lead=known, submitted=_submitted(read.values))
        return Response({"accepted": True, "request_id": current_request_id()} | ignored(read), status=202)


def _submitted(values: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as the timeline keeps it: rows by their ids."""
    return {name: value.pk if isinstance(value, Campaign) else value for name, value in values.items()}


def _needs_read(detail: str, *, fields: list[str] | None = None) -> Refusal:
    errors = (FieldError(field=name, code="insufficient_scope", detail=detail) for name in fields or ())
    challenge = f'Bearer realm="calliyo", error="insufficient_scope", scope="{Scope.LEADS_READ.value}"'
    return Refusal(
        status=403,
        code="insufficient_scope",
        detail=detail,
        headers={"WWW-Authenticate": challenge},
        errors=tuple(errors),
    )
