"""What a caller sends, read once into plain values; unknown JSON fields are refused, form fields named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings

from calliyo.api.parsers import FormData

_NO_SUCH_FIELD = "There is no such field here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The checked values of the fields that were sent, and the form fields that nobody knows here."""

    values: dict[str, Any]
    ignored_fields: list[str]


class Input(serializers.Serializer[Any]):
    """A serializer for reading only; a field that it has not is an error beside the others."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            detail = ErrorDetail("The body must be a JSON object.", code="not_an_object")
            raise ValidationError({api_settings.NON_FIELD_ERRORS_KEY: [detail]})
        unknown = [name for name in data if name not in self.fields]
        errors: dict[str, Any] = {
            name: [ErrorDetail(_NO_SUCH_FIELD, code="unknown_field")] for name in unknown
        }
        values: Any = {}
        try:
            values = super().to_internal_value(data)
        except ValidationError as error:
            errors |= error.detail  # type: ignore[arg-type]  # of an object it is always a dict
        if errors:
            raise ValidationError(errors)
        return values


def read_input(
    request: Request,
    input_class: type[Input],
    *,
    partial: bool = False,
    context: Mapping[str, Any] | None = None,
) -> Read:
    """The body of `request` as `input_class` reads it; a DRF ValidationError names what it cannot take."""
    data = request.data
    ignored: list[str] = []
    if isinstance(data, FormData):
        data, ignored = _from_form(data, input_class().fields)
    reader = input_class(data=data, partial=partial, context=dict(context or {}))
    reader.is_valid(raise_exception=True)
    return Read(values=reader.validated_data, ignored_fields=ignored)


def _from_form(form: FormData, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The form as JSON would have said it, and its unknown fields; a list is a field that is sent again."""
    plain: dict[str, Any] = {}
    errors: dict[str, list[ErrorDetail]] = {}
    for name, values in form.items():
        field = fields.get(name)
        if field is None:
            continue
        if isinstance(field, serializers.ListField):
            plain[name] = [value for value in values if value]
        elif len(values) > 1:
            errors[name] = [ErrorDetail("This field was sent more than once.", code="repeated")]
        else:
            # A form has no null: an empty box says it.
            plain[name] = None if values[0] == "" and field.allow_null else values[0]
    if errors:
        raise ValidationError(errors)
    return plain, [name[:100] for name in form if name not in fields]
