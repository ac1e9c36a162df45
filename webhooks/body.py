"""An event's body as one key may see it: pure functions of the whole payload, the key's scopes and its own id."""

from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from calliyo.actor import ActorType
from webhooks.shortening import SHORTENED, fitted

LEADS_READ = "leads:read"
USERS_READ = "users:read"
_AUTHORS = ("actor", "author")


def body_for(payload: str, *, scopes: AbstractSet[str], external_id: str | None) -> str:
    """The body in compact JSON, at most 20 kB: `payload` itself where the key may see all of it.

    Without `leads:read`, `data.lead` is its id only; without `users:read`, the names of users are null.
    `external_id` is the key's own id for the lead.
    """
    sees_all = LEADS_READ in scopes and USERS_READ in scopes
    if sees_all and external_id is None:
        return payload
    body = orjson.loads(payload)
    if USERS_READ not in scopes:
        body = _without_user_names(body)
    lead = body["data"].get("lead")
    if lead is not None:
        body["data"]["lead"] = _lead_for(lead, scopes, external_id)
        if LEADS_READ not in scopes and SHORTENED in body["data"]:
            body["data"] = _without_paths_of_lead(body["data"])
    # The key's own id makes it longer than it was when it was recorded.
    return fitted(body).decode()


def _without_paths_of_lead(data: dict[str, Any]) -> dict[str, Any]:
    """`data` whose list of what was shortened names nothing of a lead that is its id only."""
    rest = [path for path in data[SHORTENED] if not path.startswith("lead.")]
    others = {name: part for name, part in data.items() if name != SHORTENED}
    return {**others, SHORTENED: rest} if rest else others


def _lead_for(lead: dict[str, Any], scopes: AbstractSet[str], external_id: str | None) -> dict[str, Any]:
    if LEADS_READ not in scopes:
        return {"id": lead["id"]}
    return {**lead, "external_id": external_id}


def _without_user_names(body: dict[str, Any]) -> dict[str, Any]:
    """Names stand in actors and authors only: the event's own, and those of the resources in `data`."""
    data = {name: _nameless(part) if isinstance(part, dict) else part for name, part in body["data"].items()}
    return _nameless({**body, "data": data})


def _nameless(part: dict[str, Any]) -> dict[str, Any]:
    hidden = {
        name: {**part[name], "name": None}
        for name in _AUTHORS
        if isinstance(part.get(name), dict) and part[name].get("type") == ActorType.USER
    }
    return {**part, **hidden} if hidden else part
