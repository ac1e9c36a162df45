"""The `webhooks` of the document: the nine events, each with its schema and a body as the engine would send it."""

from typing import Any, Final

from calliyo.actor import ActorType
from calliyo.reference.answers import media
from calliyo.reference.examples import event_example
from calliyo.reference.values import ID, Schema
from webhooks.catalogue import API_VERSION, CATALOGUE, EventKind, EventType
from webhooks.shortening import LONGEST_BODY, SHORTENED

_TEXT: Final[Schema] = {"type": "string"}
_LEAD_ONLY: Final[Schema] = {"type": "object", "properties": {"id": dict(ID)}, "required": ["id"]}
# What `data` names, and which component that is.
_PARTS: Final = {"lead": "Lead", "call": "Call", "follow_up": "FollowUp", "note": "Note"}
_ACTOR: Final[Schema] = {
    "type": "object",
    "description": "Who did it.",
    "properties": {
        "type": {"type": "string", "enum": [kind.value for kind in ActorType]},
        "id": {"type": ["integer", "null"]},
        "name": {"type": ["string", "null"], "description": "Of a user, null to a key without `users:read`."},
        "request_id": {"type": ["string", "null"]},
    },
    "required": ["type", "id", "name", "request_id"],
}
_CHANGES: Final[Schema] = {
    "type": "object",
    "description": "The lead's fields that differ, each with what it was and what it is.",
    "additionalProperties": {
        "type": "object",
        "properties": {"from": {}, "to": {}},
        "required": ["from", "to"],
    },
}
_HEADERS: Final = (
    ("X-Calliyo-Event", "The event's type.", True),
    ("X-Calliyo-Delivery", "This delivery, the same in every retry.", True),
    (
        "X-Calliyo-Sequence",
        "The number of this delivery among the webhook's, in the order of the log; not with test events.",
        False,
    ),
    (
        "webhook-id",
        "The event's id, the same in every retry and replay: what was done for it once is done.",
        True,
    ),
    ("webhook-timestamp", "When this attempt was made, in Unix seconds.", True),
    (
        "X-Calliyo-Signature",
        "With a secret: `t=<unix seconds>,v1=<hex>`, HMAC-SHA256 of `<t>.<raw body>`.",
        False,
    ),
    ("webhook-signature", "With a secret: `v1,<base64>`, as Standard Webhooks says it.", False),
)


def event_name(event_type: EventType) -> str:
    """What the event is called among the components: `LeadStatusChangedEvent`."""
    return "".join(part.capitalize() for part in event_type.replace(".", "_").split("_")) + "Event"


def event_components() -> Schema:
    """The schemas of the nine events, and `Event` for any of them."""
    schemas = {event_name(kind.type): _schema(kind) for kind in CATALOGUE.values()}
    any_of = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    return {**schemas, "Event": {"anyOf": any_of, "description": "An event; its `type` says which."}}


def webhooks() -> Schema:
    """The `webhooks` object, by the events' names."""
    return {kind.type.value: {"post": _operation(kind)} for kind in CATALOGUE.values()}


def _operation(kind: EventKind) -> Schema:
    name = event_name(kind.type)
    body = media({"$ref": f"#/components/schemas/{name}"}, {kind.type.value: event_example(kind.type)})
    return {
        "operationId": f"on_{kind.type.value.replace('.', '_')}",
        "summary": kind.type.value,
        "description": f"{kind.fires_when}\n\nThe key needs the scope `{kind.scope}`.",
        "tags": ["webhook events"],
        "x-required-scope": kind.scope,
        "security": [],
        "parameters": [
            {"name": header, "in": "header", "description": text, "required": required, "schema": dict(_TEXT)}
            for header, text, required in _HEADERS
        ],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "2XX": {"description": "Within 15 seconds: it is delivered."},
            "410": {"description": "The webhook is turned off."},
            "default": {"description": "Anything else is a failure, and is tried again for three days."},
        },
    }


def _schema(kind: EventKind) -> Schema:
    example: dict[str, Any] = event_example(kind.type)["data"]
    data: Schema = {name: _part(name, kind) for name in example}
    data[SHORTENED] = {
        "type": "array",
        "items": dict(_TEXT),
        "description": f"The paths of what was cut because a body has at most {LONGEST_BODY:,} bytes.",
    }
    return {
        "type": "object",
        "description": kind.fires_when,
        "properties": {
            "id": {**_TEXT, "pattern": "^evt_[0-9a-f]{32}$", "description": "The same in every delivery."},
            "type": {"type": "string", "enum": [kind.type.value]},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "api_version": {"type": "string", "enum": [API_VERSION]},
            "actor": _ACTOR,
            "data": {"type": "object", "properties": data, "required": list(example)},
        },
        "required": ["id", "type", "timestamp", "api_version", "actor", "data"],
    }


def _part(name: str, kind: EventKind) -> Schema:
    if name == "changes":
        return _CHANGES
    whole: Schema = {"$ref": f"#/components/schemas/{_PARTS[name]}"}
    if name == "lead" and kind.scope != "leads:read":
        description = "The lead; its id only for a key without `leads:read`."
        return {"anyOf": [whole, _LEAD_ONLY], "description": description}
    return whole
