"""What a query string may hold: known names, each once unless it may be repeated, no empty or NUL values."""

from collections.abc import Collection

from django.http import QueryDict

from calliyo.api.problems import FieldError, refuse_values

MAX_REPEATS = 50


def check_parameters(query: QueryDict, *, known: Collection[str], repeatable: Collection[str] = ()) -> None:
    """Refuses, by name, what the list does not know or cannot take; nothing is ever ignored."""
    errors = []
    for name, values in query.lists():
        fault = _fault(name, values, known, repeatable)
        if fault:
            code, detail = fault
            errors.append(FieldError(field=name[:100].replace("\0", "�"), code=code, detail=detail))
    if errors:
        raise refuse_values(*errors)


def _fault(
    name: str, values: list[str], known: Collection[str], repeatable: Collection[str]
) -> tuple[str, str] | None:
    if name not in known:
        return "unknown_parameter", "There is no such parameter here."
    if len(values) > (MAX_REPEATS if name in repeatable else 1):
        return "repeated", "This parameter was sent too often."
    if "" in values:
        return "blank", "This parameter may not be empty."
    if any("\0" in value or "�" in value for value in values):
        return "invalid", "This parameter is not valid UTF-8 text."
    return None
