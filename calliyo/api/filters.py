"""Filters of lists: named as the JSON's fields, typed; a wrong value is a 400 that names its parameter."""

import re
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

import django_filters
from django import forms
from django.db import models
from django.http import QueryDict
from django.utils.dateparse import parse_date, parse_datetime

from calliyo.api.problems import FieldError, refuse_values
from calliyo.ids import read_id
from calliyo.statements import Parameter

# A "+05:30" that was not escaped arrives with a space.
_LOST_PLUS: Final = re.compile(r" (?=\d\d:?\d\d$)")


class IdField(forms.Field):
    """An id: a whole number from 0 to 2⁶³-1."""

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        number = read_id(value)
        if number is None:
            raise forms.ValidationError("Must be an id: a whole number.", code="invalid")
        return number


class MomentField(forms.Field):
    """A time in RFC 3339 with its offset, or a date, which means its beginning in UTC."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        moment = _moment(_LOST_PLUS.sub("+", value))
        if moment is None:
            raise forms.ValidationError(
                "Must be a time such as 2026-11-24T22:48:22.123Z, or a date.", code="invalid"
            )
        return moment


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text) if ":" in text else None
        if moment is None:
            day = parse_date(text)
            return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
        # Shifted to UTC, the first and last days that there are leave the calendar.
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class WordField(forms.Field):
    """One of a few known words."""

    def __init__(self, *, words: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self.words = tuple(words)

    def to_python(self, value: Any) -> str | None:
        if value not in self.words and value not in self.empty_values:
            raise forms.ValidationError(f"Must be one of {', '.join(self.words)}.", code="invalid_choice")
        return value or None


class LimitField(forms.Field):
    """A whole number in a range; it describes a parameter that its view reads itself."""

    def __init__(self, *, minimum: int = 1, maximum: int, **options: Any) -> None:
        super().__init__(**options)
        self.minimum = minimum
        self.maximum = maximum


class FlagField(forms.Field):
    """`true` or `false`."""

    def to_python(self, value: Any) -> bool | None:
        if value not in {"true", "false", None, ""}:
            raise forms.ValidationError("Must be true or false.", code="invalid")
        return None if value in self.empty_values else value == "true"


class RepeatableField(forms.Field):
    """A parameter that may be sent several times; any of its values will do."""

    widget = forms.MultipleHiddenInput

    def __init__(self, *, each: forms.Field, **options: Any) -> None:
        super().__init__(**options)
        self.each = each

    def clean(self, value: list[str] | None) -> list[Any]:
        return [self.each.clean(one) for one in value or []]


class IdFilter(django_filters.Filter):
    field_class = IdField


class MomentFilter(django_filters.Filter):
    field_class = MomentField


class WordFilter(django_filters.Filter):
    field_class = WordField


class FlagFilter(django_filters.Filter):
    field_class = FlagField


class TextFilter(django_filters.Filter):
    """Compared whole."""

    field_class = forms.CharField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"max_length": 200, **options})


class RepeatableFilter(django_filters.Filter):
    """Any of the values; each is read by the form field `each`."""

    field_class: type[forms.Field] = RepeatableField

    def filter(self, qs: Any, value: list[Any] | None) -> Any:
        return qs.filter(**{f"{self.field_name}__in": value}) if value else qs


class NamedFilterSet(django_filters.FilterSet):
    """Filters that can tell their parameters' names."""

    @classmethod
    @cache
    def names(cls) -> frozenset[str]:
        """The parameters that it knows."""
        return frozenset(cls.base_filters)

    @classmethod
    def fields(cls) -> dict[str, forms.Field]:
        """What reads each parameter."""
        return {name: deepcopy(one).field for name, one in cls.base_filters.items()}

    @classmethod
    @cache
    def repeatable_names(cls) -> frozenset[str]:
        """Those that may be sent more than once."""
        return frozenset(name for name, one in cls.base_filters.items() if isinstance(one, RepeatableFilter))

    @classmethod
    @cache
    def time_names(cls) -> frozenset[str]:
        """Those that compare a time."""
        return frozenset(name for name, one in cls.base_filters.items() if isinstance(one, MomentFilter))


class StrictFilterSet(NamedFilterSet):
    """Knows the times that every resource has; subclasses add their fields."""

    created_after = MomentFilter("created_at", "gte")
    created_before = MomentFilter("created_at", "lt")
    updated_after = MomentFilter("updated_at", "gte")
    updated_before = MomentFilter("updated_at", "lt")


def filtered(
    rows: "models.QuerySet[Any, Any]", query: QueryDict, filters: type[NamedFilterSet]
) -> "models.QuerySet[Any, Any]":
    """`rows` as the query's filters leave them; a Refusal that names each wrong value."""
    chosen = filters(data=query, queryset=rows)
    if not chosen.form.is_valid():
        raise refuse_values(
            *(
                _field_error(name, error)
                for name, errors in chosen.form.errors.as_data().items()
                for error in errors
            )
        )
    return chosen.filter_queryset(rows)


# ── Times alone: their statement is the same whatever they are ──────────────────────────────────────────────


def is_only_times(query: QueryDict, filters: type[NamedFilterSet]) -> bool:
    """Whether no other filter than by time is asked for."""
    return (filters.names() - filters.time_names()).isdisjoint(query)


def read_times(query: QueryDict, filters: type[NamedFilterSet]) -> dict[str, datetime]:
    """The times that the query names; a Refusal that names each wrong one."""
    times, errors = dict[str, datetime](), []
    for name in filters.time_names() & query.keys():
        try:
            times[name] = MomentField().clean(query[name])
        except forms.ValidationError as error:
            errors.append(_field_error(name, error))
    if errors:
        raise refuse_values(*errors)
    return times


def within_times(
    rows: "models.QuerySet[Any, Any]", names: Iterable[str], filters: type[NamedFilterSet]
) -> "models.QuerySet[Any, Any]":
    """`rows` as the filters of these names leave them; the times themselves stay open, as parameters."""
    for name in names:
        by = filters.base_filters[name]
        field = rows.model._meta.get_field(by.field_name)
        rows = rows.filter(**{f"{by.field_name}__{by.lookup_expr}": Parameter(name, cast("Any", field))})
    return rows


def _field_error(name: str, error: forms.ValidationError) -> FieldError:
    return FieldError(field=name, code=error.code or "invalid", detail=" ".join(error.messages))
