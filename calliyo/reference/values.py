"""JSON schemas of single values: what a filter's parameter takes, and what an input's field takes."""

import re
from functools import singledispatch
from typing import Any, Final

from django import forms
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from calliyo.api.filters import (
    FlagField,
    IdField,
    LimitField,
    MomentField,
    RepeatableField,
    WordField,
)
from calliyo.api.parameters import MAX_REPEATS
from calliyo.ids import BIGGEST_ID
from leads.api import inputs
from leads.api.filters import NamedField, PhoneField
from webhooks.api.deliveries import EventIdField

Schema = dict[str, Any]
ID: Final[Schema] = {"type": "integer", "format": "int64", "minimum": 0, "maximum": BIGGEST_ID}
PHONE: Final[Schema] = {"type": "string", "format": "phone", "minLength": 1}
NOT_BLANK: Final = r"\S"
# A number that does not fit into 64 bits is refused by the parser.
_TEXT_OR_DIGITS: Final[Schema] = {
    "type": ["string", "integer"],
    "minimum": -BIGGEST_ID - 1,
    "maximum": BIGGEST_ID,
}
_TIME: Final[Schema] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
}
_WORDS: Final = (
    (
        r"^deleted_after$",
        "Instead of the rows: the id and time of those that are gone, at or after this time.",
    ),
    (r"^deleted_before$", "Beside `deleted_after`: before this time."),
    (r"^sequence_after$", "Behind this number."),
    (r"^sequence_before$", "Before this number."),
    (r"_after$", "At or after this time. A date means its beginning in UTC."),
    (r"_before$", "Before this time. A date means its beginning in UTC."),
    (r"^phone$", "In any spelling."),
    (r"^search$", "Words that all stand in the texts, case ignored; of leads also a phone number."),
)
_REPEATABLE: Final[dict[type[forms.Field], str]] = {
    NamedField: "Any of these, each by its id or its name.",
    RepeatableField: "Any of these.",
}


# ── Parameters ──────────────────────────────────────────────────────────────────────────────────────────────


@singledispatch
def parameter_schema(field: forms.Field) -> Schema:
    """What the query string's parameter takes that `field` reads."""
    raise TypeError(f"calliyo.reference.values does not know {type(field).__name__}.")


@parameter_schema.register
def _(field: forms.CharField) -> Schema:
    return {"type": "string", "minLength": 1} | ({"maxLength": field.max_length} if field.max_length else {})


@parameter_schema.register
def _(field: IdField) -> Schema:
    return dict(ID)


@parameter_schema.register
def _(field: MomentField) -> Schema:
    return dict(_TIME)


@parameter_schema.register
def _(field: WordField) -> Schema:
    return {"type": "string", "enum": [str(word) for word in field.words]}


@parameter_schema.register
def _(field: FlagField) -> Schema:
    return {"type": "boolean"}


@parameter_schema.register
def _(field: PhoneField) -> Schema:
    return dict(PHONE)


@parameter_schema.register
def _(field: EventIdField) -> Schema:
    return {"type": "string", "pattern": "^evt_[0-9a-f]{32}$"}


@parameter_schema.register
def _(field: LimitField) -> Schema:
    return {
        "type": "integer",
        "minimum": field.minimum,
        "maximum": field.maximum,
        "default": field.initial,
    }


@parameter_schema.register
def _(field: RepeatableField) -> Schema:
    return {"type": "array", "items": parameter_schema(field.each), "maxItems": MAX_REPEATS}


@parameter_schema.register
def _(field: NamedField) -> Schema:
    name = {"type": "string", "minLength": 1}
    return {"type": "array", "items": {"anyOf": [dict(ID), name]}, "maxItems": MAX_REPEATS}


def parameter(name: str, field: forms.Field) -> Schema:
    """The OpenAPI parameter that `field` reads under this name."""
    schema = parameter_schema(field)
    described = (
        field.help_text
        or _REPEATABLE.get(type(field))
        or next((text for what, text in _WORDS if re.search(what, name)), "")
    )
    told = {"name": name, "in": "query", "schema": schema}
    return told | ({"description": str(described)} if described else {})


def listed(name: str, words: list[str], description: str) -> Schema:
    """A parameter of comma-separated names out of `words`."""
    items = {"type": "string", "enum": words}
    return {
        "name": name,
        "in": "query",
        "description": description,
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": items, "minItems": 1},
    }


# ── Bodies ──────────────────────────────────────────────────────────────────────────────────────────────────


def _text(field: serializers.CharField) -> Schema:
    schema: Schema = dict(_TEXT_OR_DIGITS)
    if not field.allow_blank:
        schema |= {"minLength": 1, "pattern": NOT_BLANK}
    return schema | ({"maxLength": field.max_length} if field.max_length else {})


class TextExtension(OpenApiSerializerFieldExtension):
    target_class = inputs.TextField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        """Text, or a whole number that stands for its digits."""
        return _text(self.target)


class PhoneExtension(OpenApiSerializerFieldExtension):
    target_class = inputs.PhoneField
    priority = 1

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        """A phone number; as a number, too."""
        return PHONE | _TEXT_OR_DIGITS


class MomentExtension(OpenApiSerializerFieldExtension):
    target_class = inputs.MomentField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        """A time with its offset."""
        return {"type": "string", "format": "date-time"}


class RowExtension(OpenApiSerializerFieldExtension):
    target_class = inputs.RowField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        """An id."""
        return dict(ID)


class StatusExtension(OpenApiSerializerFieldExtension):
    target_class = inputs.StatusField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        """An id or a name."""
        return dict(_TEXT_OR_DIGITS)


class TagNamesExtension(OpenApiSerializerFieldExtension):
    target_class = inputs.TagNamesField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        """Names."""
        return {"type": "array", "items": _text(self.target.child), "maxItems": inputs.MAX_TAGS}


def as_form(schema: Schema) -> Schema:
    """The same object as a form says it: an empty box is a null, a box in a list counts only if it is filled in.

    A truth is also told as browsers and other tools do (`on`, `1`); unknown fields are named in the answer.
    """
    fields = {
        name: _in_a_form(field)
        for name, field in schema["properties"].items()
        if field.get("type") != "object"
    }
    return {**schema, "properties": fields, "additionalProperties": True}


def _in_a_form(schema: Schema) -> Schema:
    kind = schema.get("type")
    if kind == "boolean":
        words = {"type": "string", "enum": ["true", "false", "on", "off", "1", "0", "yes", "no"]}
        return {
            **{key: text for key, text in schema.items() if key != "type"},
            "anyOf": [{"type": kind}, words],
        }
    if kind == "array" and "anyOf" not in schema["items"]:
        items = {
            name: value for name, value in schema["items"].items() if name not in {"minLength", "pattern"}
        }
        return {**schema, "items": items}
    if not isinstance(kind, list) or "null" not in kind:
        return schema
    left = [one for one in kind if one != "null"]
    return {**schema, "type": left[0] if len(left) == 1 else left}
