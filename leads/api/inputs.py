"""Fields that callers fill in: related rows by id, a status by id or name; and what the API calls a field."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from calliyo.errors import DomainError
from calliyo.ids import BIGGEST_ID, read_id
from leads.models import LeadStatus
from leads.operations.company import company_region
from leads.operations.errors import InvalidName
from leads.operations.names import clean_name
from leads.operations.tags import unknown_tags
from leads.phones import PhoneRefused, to_e164

MAX_TAGS = 50
LONGEST_NAME = 200  # with the spaces around it
# What the rules call a field, where the API's name is another.
_API_NAMES = {"owner": "owner_id", "campaign": "campaign_id", "agent": "agent_id", "lead": "lead_id"}


class TextField(serializers.CharField):
    """Text, or a whole number that stands for its digits (a phone number sent as one)."""

    def to_internal_value(self, data: Any) -> str:
        # A float has lost the digits that were meant: 9.87e9 is nobody's number.
        if isinstance(data, float):
            self.fail("invalid")
        return super().to_internal_value(data)


class PhoneField(TextField):
    """A phone number in any spelling, as E.164."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return to_e164(text, region=company_region())
        except PhoneRefused as error:
            raise serializers.ValidationError(error.detail, code=error.code) from error


class TagNamesField(serializers.ListField):
    """Names of tags. Unknown ones are refused where the context says that the caller may create none."""

    default_error_messages = {"unknown_tag": "There is no tag {name!r}."}

    def __init__(self, *, may_be_unknown: bool = False, **options: Any) -> None:
        super().__init__(child=TagNameField(max_length=100), max_length=MAX_TAGS, required=False, **options)
        self.may_be_unknown = may_be_unknown

    def to_internal_value(self, data: Any) -> list[str]:
        names: list[str] = super().to_internal_value(data)
        if names and not self.may_be_unknown and not self.context.get("may_create_tags"):
            known: set[str] = self.context.get("known_tags", set())
            unseen = [name for name in names if name.lower() not in known]
            unknown = unknown_tags(unseen) if unseen else []
            if unknown:
                self.fail("unknown_tag", name=unknown[0])
            known.update(name.lower() for name in unseen)
        return names


class TagNameField(TextField):
    """The name of a tag, as it is kept."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return clean_name(text)
        except InvalidName as error:
            raise serializers.ValidationError(error.detail, code=error.code) from error


class MomentField(serializers.Field[Any, Any, Any, Any]):
    """A time in RFC 3339 with its offset."""

    default_error_messages = {"invalid": "Must be a time with its offset, such as 2026-11-24T22:48:22.123Z."}

    def to_internal_value(self, data: Any) -> datetime:
        moment = _moment(data) if isinstance(data, str) else None
        if moment is None:
            self.fail("invalid")
        return moment


class RowField(serializers.Field[Any, Any, Any, Any]):
    """The row with this id."""

    default_error_messages = {
        "invalid": "Must be an id: a whole number.",
        "does_not_exist": "There is no {kind} {value}.",
    }

    def __init__(self, *, model: type[models.Model], **options: Any) -> None:
        super().__init__(**options)
        self.model = model

    def to_internal_value(self, data: Any) -> models.Model:
        pk = id_in(data)
        if pk is None:
            self.fail("invalid")
        seen = self.context.get("seen", {})  # by a batch, whose items name the same rows
        if (self.model, pk) not in seen:
            seen[self.model, pk] = self.model._default_manager.filter(pk=pk).first()
        row: models.Model | None = seen[self.model, pk]
        if row is None:
            self.fail("does_not_exist", kind=self.model._meta.verbose_name, value=pk)
        return row


class StatusField(serializers.Field[Any, Any, Any, Any]):
    """A lead status by its id or, case ignored, its name."""

    default_error_messages = {
        "invalid": "Must be the id or the name of a lead status.",
        "unknown_status": "There is no lead status {value!r}.",
    }

    def to_internal_value(self, data: Any) -> LeadStatus:
        if isinstance(data, bool) or not isinstance(data, int | str):
            self.fail("invalid")
        seen = self.context.get("seen", {})
        if (LeadStatus, str(data)) not in seen:
            seen[LeadStatus, str(data)] = _status(data)
        status: LeadStatus | None = seen[LeadStatus, str(data)]
        if status is None:
            self.fail("unknown_status", value=str(data)[:100])
        return status


def _status(data: int | str) -> LeadStatus | None:
    pk = id_in(data)
    status: LeadStatus | None = None if pk is None else LeadStatus.objects.filter(pk=pk).first()
    # A longer one is nobody's name, and SQLite takes no pattern of 50,000 bytes.
    if status is None and isinstance(data, str) and len(data) <= LONGEST_NAME:
        status = LeadStatus.objects.filter(name__iexact=data.strip()).first()
    return status


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text.strip())
        # Shifted to UTC, the first and last days that there are leave the calendar.
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def id_in(data: Any) -> int | None:
    """The id in a JSON number or in a form's text; None when it is none."""
    if isinstance(data, str):
        return read_id(data)
    if isinstance(data, bool) or not isinstance(data, int):
        return None
    return data if 0 <= data <= BIGGEST_ID else None


@contextmanager
def named_as_in_json() -> Iterator[None]:
    """Gives a broken rule's field the name that the caller knows it by."""
    try:
        yield
    except DomainError as error:
        error.field = _API_NAMES.get(error.field or "", error.field)
        raise
