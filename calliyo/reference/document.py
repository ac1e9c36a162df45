"""The whole document: what drf-spectacular gathers from the routes, and what belongs to all operations at once."""

from typing import Any, Final

import orjson
from drf_spectacular.generators import SchemaGenerator

from apikeys.scopes import RESOURCE_TITLES
from calliyo.reference.answers import HEADERS
from calliyo.reference.errors import DOCS_PATH, ERRORS, phrase
from calliyo.reference.events import event_components, webhooks
from calliyo.reference.values import Schema

# What the tracked document is written for; the one that a reader gets names the host that he asked.
SOMEWHERE: Final = "https://crm.example.com"
_TEXT: Final[Schema] = {"type": "string"}
_TAGS: Final = {
    **{resource.value: title for resource, title in RESOURCE_TITLES.items()},
    "events": "Catch-up log",
    "me": "This key",
    "webhooks": "Webhooks",
    "webhook events": "Webhook events",
}
_DESCRIPTION: Final = """\
Reads and writes the CRM with one Bearer token: `Authorization: Bearer cly_live_…`. A key's scopes say what it may
touch.

Lists are pages of up to 200 rows: follow `next`. To stay in sync, ask with `updated_after` and keep `as_of` for the
next time. Errors are `application/problem+json`; each `type` leads to its explanation. Send an `Idempotency-Key` with
each POST, and the `ETag` of what you have read as `If-Match` with a change, and nothing is written twice or over
somebody else's work.

Answers may gain fields: ignore those that you do not know.
"""
_HEADER_PARAMETERS: Final = {
    "X-Request-Id": ("Your own name for the request: up to 128 letters, digits and `._:/=+@~-`.", {}),
    "Idempotency-Key": (
        "The same key and body give the first answer again, for 24 hours.",
        {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    ),
    "If-Match": ("The `ETag` that was read: 412 when the object has another version now.", {}),
    "If-None-Match": ("The `ETag` of what the caller has: 304 when it is still so.", {}),
}


class DocumentGenerator(SchemaGenerator):
    """drf-spectacular's, with what our document has besides operations and their shapes."""

    def coerce_path(self, path: str, method: str, view: Any) -> str:
        """Without the slash that is tolerated at its end; an object's id is called so."""
        coerced: str = super().coerce_path(path, method, view)  # type: ignore[no-untyped-call]
        return coerced.rstrip("/").replace("{pk}", "{id}")

    base = SOMEWHERE

    def get_schema(self, request: Any = None, public: bool = False) -> Schema:  # noqa: FBT001, FBT002
        """The document, written for the host at `base`."""
        base = self.base
        gathered: Schema = super().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        components = gathered["components"]
        used = {tag for item in gathered["paths"].values() for one in item.values() for tag in one["tags"]}
        return {
            "openapi": gathered["openapi"],
            "info": {**gathered["info"], "description": _DESCRIPTION},
            "servers": [{"url": base}],
            "externalDocs": {"url": f"{base}{DOCS_PATH}", "description": "The same for people."},
            "tags": [
                {"name": name, "description": text}
                for name, text in _TAGS.items()
                if name in used or name == "webhook events"
            ],
            "security": [{"token": []}],
            "paths": gathered["paths"],
            "webhooks": webhooks(),
            "components": {
                "schemas": {
                    **_with_problems(components["schemas"]),
                    **event_components(),
                    "Problem": _problem(),
                },
                "parameters": {name: _header(name) for name in _HEADER_PARAMETERS},
                "headers": HEADERS,
                "examples": {
                    code: {"summary": kind.title, "value": kind.example(base)}
                    for code, kind in ERRORS.items()
                },
                "responses": _shared_responses(gathered["paths"]),
                "securitySchemes": {"token": _SECURITY},
            },
        }


def document_for(base: str) -> Schema:
    """The document as the host at `base` (`https://crm.example.com`) gives it."""
    generator = DocumentGenerator()
    generator.base = base
    return generator.get_schema()


def _with_problems(schemas: Schema) -> Schema:
    """What a batch answers for a refused item is a problem as any other."""
    schemas["BatchResult"]["properties"]["error"] = {"$ref": "#/components/schemas/Problem"}
    return schemas


def _shared_responses(paths: Schema) -> Schema:
    """Takes the errors that several operations answer alike out of these, and leaves references there."""
    alike: dict[bytes, list[Schema]] = {}
    for path in paths.values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    alike.setdefault(orjson.dumps([status, response]), []).append(operation["responses"])
    shared: Schema = {}
    for key, places in alike.items():
        if len(places) > 1:
            status, response = orjson.loads(key)
            name = phrase(int(status)).title().replace(" ", "")
            number = sum(1 for known in shared if known.rstrip("0123456789") == name)
            name += str(number + 1) if number else ""
            shared[name] = response
            for responses in places:
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return shared


_SECURITY: Final[Schema] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "cly_live_ and 38 letters and digits",
    "description": "The token of an API key, as it was shown once on Settings → API.",
}


def _header(name: str) -> Schema:
    text, schema = _HEADER_PARAMETERS[name]
    return {"name": name, "in": "header", "description": text, "schema": {**_TEXT, **schema}}


def _problem() -> Schema:
    """RFC 9457, with the contract's members."""
    integer = {"type": "integer"}
    error: dict[str, Any] = {
        "type": "object",
        "properties": {
            "field": {
                "type": ["string", "null"],
                "description": "The field's path; null: the whole is meant.",
            },
            "code": _TEXT,
            "detail": _TEXT,
        },
        "required": ["field", "code", "detail"],
    }
    return {
        "type": "object",
        "description": "An error (RFC 9457). `code` is stable; texts are for people.",
        "properties": {
            "type": {**_TEXT, "format": "uri", "description": "Where the code is explained."},
            "title": _TEXT,
            "status": integer,
            "code": {**_TEXT, "description": "One of the codes of this document's examples."},
            "detail": _TEXT,
            "errors": {"type": "array", "items": error},
            "request_id": {"type": ["string", "null"]},
            "existing_id": {**integer, "description": "Of duplicates: the one that exists."},
            "lead_cap": {
                **integer,
                "description": "Of `lead_cap_reached`: how many leads the agent may hold.",
            },
            "room": {**integer, "description": "Of `lead_cap_reached`: for how many he still has room."},
        },
        "required": ["type", "title", "status", "code", "detail", "errors", "request_id"],
    }
