"""Bodies in: strict JSON and two form encodings. What cannot be read is a 400 that says why, never a 5xx."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, NoReturn, TypeAlias
from urllib.parse import parse_qsl

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.parsers import MultiPartParser as UpstreamMultiPartParser

from calliyo.api.problems import FieldError, Refusal

# A batch of 200 leads is about 60 kB; a megabyte is far beyond anything that an integration sends.
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32
MAX_FORM_FIELDS: Final = 500
_BIGGEST_INTEGER: Final = 2**63
_BIGGEST_INTEGER_DIGITS: Final = 20
# Python's parser lets these escapes through; a raw NUL or surrogate is refused by itself.
_SUSPECT_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_REPLACEMENT: Final = "\ufffd"

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class MalformedBody(Refusal):
    """The body is not what its media type says; `code` names what is wrong with it."""

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        error = FieldError(field=field and _printable(field), code=code, detail=detail)
        super().__init__(status=400, code="malformed_body", detail=detail, errors=(error,))


class FormData(dict[str, list[str]]):
    """The fields of a form, each with all of its values. Its unknown fields are ignored, not refused."""


class JSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The value in the body."""
        _only_utf8(media_type, parser_context)
        return parse_json(stream.read())


class FormParser(BaseParser):
    media_type = "application/x-www-form-urlencoded"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> FormData:
        """The fields in the body."""
        _only_utf8(media_type, parser_context)
        return parse_form(stream.read())


class MultiPartParser(UpstreamMultiPartParser):
    def parse(  # type: ignore[override]  # files are named, never kept: what comes out is a form
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: dict[str, Any] | None = None,
    ) -> FormData:
        """The fields in the body; an uploaded file is a field whose value is its name."""
        _only_utf8(media_type, parser_context)
        parsed = super().parse(stream, media_type, parser_context)
        if not parsed.data and not parsed.files and not _is_empty_form(parser_context):
            raise MalformedBody("no_parts", "The body has no part of the form: look at its boundary.")
        form = FormData((str(name), [str(value) for value in values]) for name, values in parsed.data.lists())
        for name, files in parsed.files.lists():
            form.setdefault(str(name), []).extend(str(file.name) for file in files)
        for name, values in form.items():
            for text in (name, *values):
                # Django replaces broken bytes silently; what was meant cannot be told any more.
                if _REPLACEMENT in text:
                    raise MalformedBody("invalid_utf8", "A form field is not valid UTF-8.", field=name)
                if "\0" in text:
                    raise MalformedBody("nul_byte", "A form field holds a NUL byte.", field=name)
        return form


def _is_empty_form(context: Mapping[str, Any] | None) -> bool:
    """Whether the body is a form without parts; Django also reads what is no form at all as an empty one."""
    request = (context or {})["request"]
    _, options = parse_header_parameters(request.META.get("CONTENT_TYPE", ""))
    body: bytes = request.body
    return body.strip() in {b"", f"--{options.get('boundary', '')}--".encode()}


def parse_json(body: bytes) -> Json:
    """The JSON value in `body`.

    Refused, beside what is no JSON: broken UTF-8, NUL bytes, lone surrogates, NaN and Infinity, a name twice
    in one object, numbers beyond 64 bits, and more than 32 levels.
    """
    text = _decoded(body).removeprefix("\ufeff")
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except RecursionError:
        raise MalformedBody("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody("invalid_json", f"The body is not JSON: {error.msg} ({place}).") from None
    if text.count("[") + text.count("{") > MAX_DEPTH or _SUSPECT_ESCAPE.search(text):
        _check_inside(value)
    return value


def parse_form(body: bytes) -> FormData:
    """The fields of an `application/x-www-form-urlencoded` body, blank ones too."""
    try:
        pairs = parse_qsl(
            _decoded(body),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except UnicodeDecodeError:
        raise MalformedBody("invalid_utf8", "A form field is not valid UTF-8.") from None
    except ValueError:
        raise MalformedBody("too_many_fields", f"A form may have {MAX_FORM_FIELDS} fields.") from None
    form = FormData()
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise MalformedBody("nul_byte", "A form field holds a NUL byte.", field=name)
        form.setdefault(name, []).append(value)
    return form


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody("invalid_utf8", f"The body is not valid UTF-8 (byte {error.start}).") from None


def _only_utf8(media_type: str | None, context: Mapping[str, Any] | None) -> None:
    charset = str((context or {}).get("encoding") or "utf-8")
    if charset.lower() not in {"utf-8", "utf8", "us-ascii", "ascii"}:
        raise UnsupportedMediaType(media_type or "", f"The charset must be utf-8, not {charset[:40]}.")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedBody("duplicate_key", "A name stands twice in one object.", field=twice)
    return made


def _refuse_constant(word: str) -> NoReturn:
    raise MalformedBody("not_a_number", f"{word} is not a JSON number.")


def _integer(digits: str) -> int:
    if len(digits) > _BIGGEST_INTEGER_DIGITS or not -_BIGGEST_INTEGER <= int(digits) < _BIGGEST_INTEGER:
        raise MalformedBody("number_too_big", "A number does not fit into 64 bits.")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise MalformedBody("number_too_big", "A number does not fit into 64 bits.")
    return number


def _check_inside(value: Json) -> None:
    for text, depth in _walked(value):
        if depth > MAX_DEPTH:
            raise MalformedBody("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels.")
        if "\0" in text:
            raise MalformedBody("nul_byte", "A text holds a NUL character.")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise MalformedBody("lone_surrogate", "A text holds half of a surrogate pair.")


def _walked(value: Json) -> Iterator[tuple[str, int]]:
    """Every text in `value` (names too; '' for what is no text) with its depth, without recursion."""
    waiting: list[tuple[Json, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        yield (item if isinstance(item, str) else ""), depth
        if isinstance(item, dict):
            waiting.extend((name, depth + 1) for name in item)
            waiting.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, list):
            waiting.extend((inner, depth + 1) for inner in item)


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else _REPLACEMENT for character in name[:100])
