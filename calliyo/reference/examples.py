"""Examples of what the API answers and takes, drawn by the functions that draw the real ones."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from leads.pictures import (
    campaign_picture,
    customer_picture,
    moment,
    status_picture,
    tag_picture,
    user_picture,
)
from webhooks.api.shapes import delivery_picture, webhook_picture
from webhooks.catalogue import EventType
from webhooks.samples import sample_payload

_AT: Final = datetime(2026, 11, 24, 4, 42, 10, 120000, tzinfo=UTC)
_LATER: Final = datetime(2026, 11, 24, 5, 3, 55, 480000, tzinfo=UTC)
_EVENT: Final = UUID("01936f2a7c1e7d3a9b5c4e6f8a90b1c2")


def event_example(event_type: EventType) -> dict[str, Any]:
    """The whole body of an event, as a key that may see all of it gets it."""
    body: dict[str, Any] = orjson.loads(sample_payload(event_type, uid=_EVENT, at=_LATER))
    return body


def _of(event_type: EventType, name: str) -> dict[str, Any]:
    picture: dict[str, Any] = event_example(event_type)["data"][name]
    return picture


LEAD: Final = _of(EventType.LEAD_CREATED, "lead")
_CONVERTED: Final = _of(EventType.LEAD_CONVERTED, "lead")
_CUSTOMER_ROW: Final = (
    _CONVERTED["id"], _CONVERTED["version"], "Asha", "Verma", _CONVERTED["phone"], _CONVERTED["email"],
    _CONVERTED["status"]["id"], _CONVERTED["status"]["name"], _CONVERTED["owner_id"], _CONVERTED["campaign_id"],
    _CONVERTED["source"], _AT, _LATER, _LATER, Decimal(1499), "INR", "Annual", "paid",
)  # fmt: skip

_WEBHOOK: Final = webhook_picture(
    (
        4, 1, "https://zoho.example.com/calliyo", ["lead.created", "lead.updated"], True, "", None, "sealed", None, "",
        "per_lead", True, None, "api_key", 12, "Zoho production", _AT, _AT,
    ),
    "healthy",
)  # fmt: skip
_DELIVERY: Final = delivery_picture(
    (9120, "lead.created", 1042, 317, "waiting", 1, _AT, _LATER, None, 503, "http_503"),
    f"evt_{_EVENT.hex}",
    frozenset({"leads:read"}),
)

ANSWERS: Final[dict[str, Any]] = {
    "Lead": LEAD,
    "Customer": customer_picture(_CUSTOMER_ROW, tags=_CONVERTED["tags"]),
    "User": user_picture(
        (7, 3, "Ravi Kumar", "ravi@example.com", "+919812345678", "E-017", "agent", True, _AT, _LATER)
    ),
    "LeadStatus": status_picture((3, 1, "Followups", 3, "followups", _AT, _AT)),
    "Tag": tag_picture((5, 1, "hot", _AT, _AT)),
    "Campaign": campaign_picture(
        (3, 2, "Diwali 2026", "active", date(2026, 10, 20), date(2026, 11, 30), _AT, _LATER), agent_ids=[7, 9]
    ),
    "Call": _of(EventType.CALL_COMPLETED, "call"),
    "FollowUp": _of(EventType.FOLLOW_UP_CREATED, "follow_up"),
    "Note": _of(EventType.NOTE_ADDED, "note"),
    "Webhook": _WEBHOOK,
    "WebhookWithSecret": _WEBHOOK | {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="},
    "Delivery": _DELIVERY,
    "Tested": {
        "event_id": f"evt_{_EVENT.hex}",
        "type": "lead.created",
        "succeeded": True,
        "status": 200,
        "error": None,
        "duration_ms": 84,
    },
    "Replayed": {"queued": 12, "out_of_scope": 0, "no_longer_kept": 1},
    "Deleted": {"id": 1042, "deleted_at": moment(_LATER)},
    "Accepted": {"accepted": True, "request_id": "req_5f0c8d1e9a7b4c2d3e6f8a90"},
    "BatchResults": {"results": [{"index": 0, "status": 201, "id": 1042}]},
    "Me": {
        "id": 12,
        "name": "Zoho production",
        "prefix": "cly_live_4fTq",
        "scopes": ["leads:read", "leads:write"],
        "manage_webhooks": False,
        "created_at": moment(_AT),
        "expires_at": None,
        "limits": {
            "requests": 600,
            "window_seconds": 60,
            "burst": 100,
            "allowed_addresses": [],
            "allowed_origins": [],
        },
        "webhooks": [
            {
                "id": 4,
                "url": "https://zoho.example.com/calliyo",
                "events": ["lead.created"],
                "active": True,
                "has_secret": True,
            }
        ],
    },
    "EventPage": {
        "results": [event_example(EventType.LEAD_CREATED)],
        "next_after": "MS4zMTcuMA",
        "more": False,
    },
    "Event": event_example(EventType.LEAD_STATUS_CHANGED),
}
BODIES: Final[dict[str, Any]] = {
    "NewLead": {
        "first_name": "Asha",
        "last_name": "Verma",
        "phone": "98765 43210",
        "email": "asha.verma@example.com",
        "source": "website",
    },
    "LeadChanges": {"status": "Followups", "add_tags": ["hot"]},
    "CreateLeadsBody": {"leads": [{"first_name": "Asha", "phone": "98765 43210"}]},
    "NewWebhook": {
        "url": "https://zoho.example.com/calliyo",
        "events": ["lead.created", "lead.updated"],
        "secret": "generate",
        "skip_own": True,
    },
    "WebhookChanges": {"events": ["lead.created"], "active": True},
    "TestWebhookBody": {"event": "lead.created"},
    "ReplayWebhookBody": {"failed": True, "since": "2026-11-24T00:00:00Z"},
    "NewTag": {"name": "hot"},
    "TagChanges": {"name": "very hot"},
    "NewFollowUp": {
        "lead_id": 1042,
        "due_at": "2026-11-25T15:00:00+05:30",
        "note": "Call back after the demo",
    },
    "FollowUpChanges": {"status": "resolved"},
    "NewNote": {"lead_id": 1042, "text": "Budget approved, decides on Friday."},
    "NoteChanges": {"text": "Budget approved, decides on Monday."},
}
