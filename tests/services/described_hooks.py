"""What schemathesis is told of our data: requests that are meant to be right name rows that are there.

`CALLIYO_ROWS` holds the rows' ids. Requests that are meant to be wrong are sent as they were made up.
"""

import itertools
import json
import os
from typing import Any

import schemathesis

ROWS: dict[str, int] = json.loads(os.environ.get("CALLIYO_ROWS", "{}"))
SYNC = {"updated_after", "updated_before"}
DELETED = {"deleted_after", "deleted_before"}
phones = itertools.count(9_100_000_000)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Gives a positive case what no schema can tell: rows that are there, and parameters that go together."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    path = case.operation.path
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"case-{next(phones)}"
    if case.headers and "If-Match" in case.headers:
        case.headers["If-Match"] = "*"
    if "id" in (case.path_parameters or {}) and case.method != "DELETE":
        case.path_parameters["id"] = ROWS.get(path.split("/")[2], 1)
    if isinstance(case.query, dict):
        case.query = agreeing(dict(case.query))
    if path.endswith("/replay"):
        # What is to be sent again is said in one of five ways.
        case.body, case.media_type = {"failed": True}, "application/json"
    elif isinstance(case.body, dict):
        case.body = sensible(path, dict(case.body))
    elif isinstance(case.body, list):
        case.body = [sensible(path, dict(item)) if isinstance(item, dict) else item for item in case.body]


def agreeing(query: dict[str, Any]) -> dict[str, Any]:
    """Without what a reader cannot know, and what excludes each other."""
    query.pop("cursor", None)
    query.pop("after", None)
    query.pop("wait", None)
    if not DELETED.isdisjoint(query):
        return {"deleted_after": query.get("deleted_after", "2026-01-01"), "limit": query.get("limit", 50)}
    if not SYNC.isdisjoint(query):
        query.pop("ordering", None)
    if isinstance(query.get("status"), list) and not set(query["status"]) <= CALL_STATUSES:
        query["status"] = [ROWS["lead-statuses"]]
    if "tag" in query:
        query["tag"] = ["hot"]
    if "phone" in query:
        query["phone"] = "98765 43210"
    return query


def whole_numbers(value: Any) -> Any:
    """Integers as JSON writes them: to a schema 2.0 is one, too, but a phone number it is not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole_numbers(one) for name, one in value.items()}
    return [whole_numbers(one) for one in value] if isinstance(value, list) else value


CALL_STATUSES = {"called", "busy", "no_answer", "missed", "in_progress", "follow_up", "rescheduled"}


def sensible(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with rows that are there, numbers that are nobody's, addresses that may be sent to."""
    body = whole_numbers(body)
    if path.endswith("/batch"):
        return body
    known = {
        "lead_id": ROWS["leads"],
        "owner_id": ROWS["users"],
        "campaign_id": ROWS["campaigns"],
        "url": "http://127.0.0.1:9/hook",
        "secret": "generate",
        "email": "asha.verma@example.com",
        "headers": {"X-Team": "sales"},
    }
    body |= {name: value for name, value in known.items() if name in body}
    if "phone" in body:
        body["phone"] = str(next(phones))
    if path.startswith("/public/leads") and "status" in body:
        body["status"] = "Interested"
    if path == "/public/leads/{id}" and "tags" in body:
        body.pop("add_tags", None)
        body.pop("remove_tags", None)
    if path == "/public/webhooks/{id}" and not {"secret", "secret_overlap_seconds"}.isdisjoint(body):
        body |= {"secret": "generate", "secret_overlap_seconds": 0}  # only so many secrets overlap
    return body
