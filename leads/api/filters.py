"""Filters that several resources have: related rows by id, statuses and tags by name, phones, search."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any, Final

import django_filters
from django import forms
from django.db.models import BigIntegerField, Q, QuerySet, Value
from django.db.models.functions import Lower

from apikeys.callers import API_KEY
from calliyo.api.filters import (
    IdField,
    MomentFilter,
    RepeatableFilter,
    StrictFilterSet,
    TextFilter,
)
from calliyo.ids import read_id
from calliyo.statements import Parameter
from leads.models import ExternalId, LeadStatus, LeadTag, Tag
from leads.operations.company import company_region
from leads.phones import PhoneRefused, to_e164

MAX_WORDS: Final = 8


class IdsFilter(RepeatableFilter):
    """Rows that refer to any of these ids."""

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name, each=IdField())


class NamedField(forms.Field):
    """Rows by id or, case ignored, by name, all found in one statement; unknown ones are refused."""

    widget = forms.MultipleHiddenInput

    def __init__(self, *, model: type[LeadStatus] | type[Tag], **options: Any) -> None:
        super().__init__(**options)
        self.model = model

    def clean(self, value: list[str] | None) -> list[int]:
        words = value or []
        if not words:
            return []
        ids = {word: number for word in words if (number := read_id(word)) is not None}
        wanted = Q(pk__in=ids.values()) | Q(lower_name__in=[Lower(Value(word)) for word in words])
        found = self.model.objects.alias(lower_name=Lower("name")).filter(wanted)
        names = {pk: name.lower() for pk, name in found.values_list("pk", "name")}
        by_name = {name: pk for pk, name in names.items()}
        return [self._one(word, ids.get(word), names, by_name) for word in words]

    def _one(self, word: str, pk: int | None, names: dict[int, str], by_name: dict[str, int]) -> int:
        if pk in names:
            return pk
        if word.lower() in by_name:
            return by_name[word.lower()]
        kind = self.model._meta.verbose_name
        raise forms.ValidationError(f"There is no {kind} {word[:100]!r}.", code="does_not_exist")


class NamedFilter(RepeatableFilter):
    """Rows that refer to any of these, each by id or name."""

    field_class = NamedField

    def __init__(self, field_name: str, *, model: type[LeadStatus] | type[Tag]) -> None:
        super().__init__(field_name, model=model)


class TagFilter(NamedFilter):
    """Leads that have any of these tags, each once: a join would show one twice that has two of them."""

    def filter(self, qs: Any, value: list[int] | None) -> Any:
        return qs.filter(pk__in=LeadTag.objects.filter(tag__in=value).values("lead")) if value else qs


class PhoneField(forms.Field):
    """A phone number in any spelling, as E.164."""

    def to_python(self, value: Any) -> str | None:
        if value in self.empty_values:
            return None
        try:
            # A "+" that was not escaped arrives as a space.
            spelling = f"+{value[1:]}" if value.startswith(" ") else value
            return to_e164(spelling, region=company_region())
        except PhoneRefused as error:
            raise forms.ValidationError(error.detail, code=error.code) from error


class PhoneFilter(django_filters.Filter):
    field_class = PhoneField


class WordsFilter(TextFilter):
    """Rows in which each word stands in any of these fields, case ignored."""

    def __init__(self, *fields: str) -> None:
        super().__init__(fields[0])
        self.fields = fields

    def filter(self, qs: Any, value: str | None) -> Any:
        return qs.filter(with_words(value, self.fields)) if value else qs


class ExternalIdFilter(RepeatableFilter):
    """Leads that the calling key calls by any of these."""

    def __init__(self) -> None:
        super().__init__("external_id", each=forms.CharField(max_length=255))

    def filter(self, qs: Any, value: list[str] | None) -> Any:
        own = ExternalId.objects.filter(
            api_key_id=Parameter(API_KEY, BigIntegerField()), value__in=value or []
        )
        return qs.filter(pk__in=own.values("lead")) if value else qs


class LeadFilters(StrictFilterSet):
    """What leads and customers are chosen by."""

    first_name = TextFilter("first_name", "iexact")
    last_name = TextFilter("last_name", "iexact")
    external_id = ExternalIdFilter()
    converted_after = MomentFilter("converted_at", "gte")
    converted_before = MomentFilter("converted_at", "lt")

    status = NamedFilter("status", model=LeadStatus)
    tag = TagFilter("tags", model=Tag)
    owner_id = IdsFilter("owner")
    campaign_id = IdsFilter("campaign")
    phone = PhoneFilter("phone")
    email = TextFilter("email", "iexact")
    source = TextFilter("source")
    search = TextFilter(method="filter_search")

    def filter_search(self, queryset: QuerySet[Any], name: str, text: str) -> QuerySet[Any]:
        """Each word stands in a name or the email; or the whole is a phone number, in any spelling."""
        phone = searched_phone(text)
        if phone:
            return queryset.filter(phone=phone)
        return queryset.filter(with_words(text, ("first_name", "last_name", "email")))


def with_words(text: str, fields: Iterable[str]) -> Q:
    """What holds of a row in which each word of `text` stands in any of these fields."""
    words = Q()
    for word in text.split()[:MAX_WORDS]:
        words &= reduce(or_, (Q(**{f"{field}__icontains": word}) for field in fields))
    return words


def searched_phone(text: str) -> str | None:
    """The phone number in `text` as E.164, when it is one."""
    try:
        return to_e164(text, region=company_region())
    except PhoneRefused:
        return None
