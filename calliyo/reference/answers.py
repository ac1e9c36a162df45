"""What an operation may answer: its own answers with headers and examples, and every error by its status."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from apikeys.permissions import ANY_KEY
from calliyo.api.lists import AS_OF_HEADER
from calliyo.api.streams import FORMATS
from calliyo.reference.errors import by_status, phrase
from calliyo.reference.examples import ANSWERS
from calliyo.reference.values import ID, Schema

if TYPE_CHECKING:  # that module imports this one
    from calliyo.reference.operations import PublicSchema

_TEXT: Final[Schema] = {"type": "string"}
HEADERS: Final[dict[str, Schema]] = {
    "X-Request-Id": {
        "description": "Names this request in the log; the caller's own where it sent one that is safe text.",
        "schema": _TEXT,
        "required": True,
    },
    "RateLimit": {
        "description": 'What is left, and when the bucket is full again: `"default";r=99;t=1`.',
        "schema": _TEXT,
    },
    "RateLimit-Policy": {"description": 'The limit: `"default";q=600;w=60`.', "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "What is missing, as RFC 6750 says it.", "schema": _TEXT},
    "ETag": {
        "description": "For `If-None-Match`, and, of an object, for `If-Match`.",
        "schema": _TEXT,
        "required": True,
    },
    "Location": {"description": "The new object's path.", "schema": _TEXT},
    "Idempotent-Replayed": {
        "description": "`true`: the first answer, given again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    AS_OF_HEADER: {
        "description": "The value for the next `updated_after`; with streams and 304, where no body says it.",
        "schema": {"type": "string", "format": "date-time"},
    },
    "Content-Disposition": {"description": "A name for the file, with streams.", "schema": _TEXT},
}
_ALWAYS: Final = ("X-Request-Id", "RateLimit", "RateLimit-Policy")
_UNLIMITED: Final = ("X-Request-Id",)  # who has not proven his token is told nothing of limits
_BEFORE_LIMITS: Final = frozenset({401, 414, 431, 503})
_OF_ERRORS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_WITH_TOKEN: Final = (
    "not_authenticated",
    "invalid_token",
    "key_inactive",
    "address_not_allowed",
    "origin_not_allowed",
)
_EVERYWHERE: Final = (
    "validation_failed",
    "bad_request",
    "not_acceptable",
    "uri_too_long",
    "headers_too_large",
    "rate_limited",
    "internal_error",
    "database_unavailable",
)
_OF_BODIES: Final = ("malformed_body", "unsupported_media_type", "too_large", "length_required", "conflict")
_OF_REPEATS: Final = ("invalid_idempotency_key", "idempotency_key_in_use", "idempotency_key_reused")


def answers_of(operation: "PublicSchema") -> Schema:
    """The `responses` of the operation."""
    return {**dict(_own(operation)), **_errors(operation)}


def media(schema: Schema, examples: dict[str, Any]) -> Schema:
    """A media type object; `examples` by name, or none."""
    named = {name: {"value": value} for name, value in examples.items() if value is not None}
    return {"schema": schema} | ({"examples": named} if named else {})


def headers(*names: str) -> Schema:
    """References to these headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(names)}


# ── What it answers when all is well ────────────────────────────────────────────────────────────────────────


def _own(operation: "PublicSchema") -> Iterator[tuple[str, Schema]]:
    told = operation.told.answers
    match operation.action:
        case "list":
            yield "200", _page(operation)
            yield "304", _unchanged("The page that the caller has is as it was.", AS_OF_HEADER)
        case "retrieve":
            yield "200", _object(operation, 200, operation.object_schema())
            yield "304", _unchanged("The object that the caller has is as it was.")
        case "create" | "partial_update" if told:
            yield from ((str(status), _told(operation, status)) for status in sorted(told))
        case "create" | "partial_update":
            status = 201 if operation.action == "create" else 200
            yield str(status), _object(operation, status, _or_id(operation))
        case "destroy":
            yield "204", {"description": "It is gone.", "headers": headers(*_ALWAYS)}
        case _:
            yield from ((str(status), _told(operation, status)) for status in sorted(told))
            if operation.method == "GET" and operation.by_id:
                yield "304", _unchanged("The object that the caller has is as it was.")


def _page(operation: "PublicSchema") -> Schema:
    row = ANSWERS.get(operation.noun)
    page = {"next": None, "previous": None, "as_of": "2026-11-24T05:03:55.480Z", "results": [row]}
    content = {"application/json": media(operation.page_schema(), {operation.noun: row and page})}
    for renderer in FORMATS:
        text = renderer().lines(type(operation.view), None, ())([row]).decode() if row else None
        content[renderer.media_type] = media(_TEXT, {renderer.format: text})
    names = (*_ALWAYS, AS_OF_HEADER, "Content-Disposition")
    # A stream has no ETag, so that it cannot be promised here.
    etag = {"ETag": {"description": "Of the page, for `If-None-Match`.", "schema": _TEXT}}
    return {
        "description": "A page, or the whole list.",
        "headers": headers(*names) | etag,
        "content": content,
    }


def _object(operation: "PublicSchema", status: int, schema: Schema) -> Schema:
    names = [*_ALWAYS] if operation.action != "retrieve" else [*_ALWAYS, "ETag"]
    if operation.method == "POST":
        names += ["Location", "Idempotent-Replayed"]
    told = headers(*names)
    if operation.action != "retrieve":
        # Who may not read the object is told its id only, without a tag.
        told |= {"ETag": {"description": HEADERS["ETag"]["description"], "schema": _TEXT}}
    content = {"application/json": media(schema, {operation.noun: ANSWERS.get(operation.noun)})}
    return {"description": phrase(status), "headers": told, "content": content}


def _told(operation: "PublicSchema", status: int) -> Schema:
    shape = operation.told.answers[status]
    name = operation.shape_name(shape)
    schema = operation.shape_schema(shape)
    if "version" in shape.members() and operation.action in {"create", "partial_update"}:
        return _object(operation, status, schema)
    more = ["Idempotent-Replayed"] if operation.method == "POST" else []
    more += ["ETag"] if operation.method == "GET" and operation.by_id else []
    return {
        "description": phrase(status),
        "headers": headers(*_ALWAYS, *more),
        "content": {"application/json": media(schema, {name: ANSWERS.get(name)})},
    }


def _or_id(operation: "PublicSchema") -> Schema:
    """The object; its id only for a key that may not read it."""
    operation.component(
        "OnlyId", {"type": "object", "properties": {"id": dict(ID), **IGNORED}, "required": ["id"]}
    )
    return {"anyOf": [operation.object_schema(whole=True), {"$ref": "#/components/schemas/OnlyId"}]}


IGNORED: Final[Schema] = {
    "ignored_fields": {
        "type": "array",
        "items": _TEXT,
        "description": "The fields of a form that nobody knows here.",
    }
}


def _unchanged(text: str, *more: str) -> Schema:
    return {"description": text, "headers": headers(*_ALWAYS, "ETag", *more)}


# ── What it refuses ─────────────────────────────────────────────────────────────────────────────────────────


def _errors(operation: "PublicSchema") -> Schema:
    return {
        str(status): {
            "description": phrase(status),
            "headers": headers(
                *(_UNLIMITED if status in _BEFORE_LIMITS else _ALWAYS), *_OF_ERRORS.get(status, ())
            ),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {kind.code: {"$ref": f"#/components/examples/{kind.code}"} for kind in kinds},
                }
            },
        }
        for status, kinds in by_status(_codes(operation)).items()
    }


def _codes(operation: "PublicSchema") -> Iterator[str]:
    yield from (*_WITH_TOKEN, *_EVERYWHERE)
    if operation.view.resource is not ANY_KEY:
        yield "insufficient_scope"
    if operation.manages_webhooks:
        yield "webhooks_not_allowed"
    if operation.by_id:
        yield "not_found"
        if operation.method in {"PATCH", "DELETE"}:
            yield "precondition_failed"
    if operation.action == "list":
        yield "invalid_cursor"
    if operation.method == "DELETE":
        yield "conflict"
    if operation.body() is not None:
        yield from _OF_BODIES
        yield from (rule.code for rule in operation.view.refusals)
    if operation.method == "POST":
        yield from (*_OF_REPEATS, "conflict", "too_large", "length_required")
        if operation.view.answers_hold_secrets:
            yield "answer_unreadable"
    yield from (rule.code for rule in operation.told.refusals)
