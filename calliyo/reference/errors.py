"""Every error that the public API answers with: what it means, what to do, and an example made by its own code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from calliyo.api.problems import DOMAIN_STATUS, FieldError, Problem, members

REQUEST_ID: Final = "req_5f0c8d1e9a7b4c2d3e6f8a90"
DOCS_PATH: Final = "/public/docs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """One code: an example of it, and what its reader does next."""

    problem: Problem
    remedy: str

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def title(self) -> str:
        """As `title` says it in the answer."""
        return str(members(self.problem)["title"])

    @property
    def meaning(self) -> str:
        """A sentence for people: the title where the code has one of its own, else the example's detail."""
        own = self.title != HTTPStatus(self.status).phrase
        return f"{self.title}." if own else self.problem.detail

    def example(self, base: str) -> dict[str, Any]:
        """The answer's body, as the host at `base` gives it."""
        told = members(self.problem)
        errors = [{"field": one.field, "code": one.code, "detail": one.detail} for one in self.problem.errors]
        return {
            **told,
            "type": f"{base}{DOCS_PATH}#{self.code}",
            "errors": errors,
            "request_id": REQUEST_ID,
        }


def _http(status: int, code: str, detail: str, remedy: str, *errors: tuple[str, str, str]) -> ErrorKind:
    named = tuple(FieldError(field=field, code=error, detail=text) for field, error, text in errors)
    if named and status == 400 and code == "validation_failed":
        detail = f"{named[0].field}: {named[0].detail}"
    return ErrorKind(problem=Problem(status=status, code=code, detail=detail, errors=named), remedy=remedy)


def _rule(code: str, field: str, detail: str, remedy: str, **extra: object) -> ErrorKind:
    error = FieldError(field=field, code=code, detail=detail)
    status = DOMAIN_STATUS.get(code, 400)
    return ErrorKind(
        problem=Problem(status=status, code=code, detail=detail, errors=(error,), extra=extra), remedy=remedy
    )


_WAIT: Final = "Wait for the seconds in `Retry-After`, then send it again."
_ALL: Final = (
    _http(
        400, "validation_failed", "", "`errors` names each field or parameter and what is wrong with it.",
        ("limit", "invalid", "Must be from 1 to 200."),
    ),
    _http(
        400, "malformed_body", "The body is not JSON: Expecting value (line 1, column 1).",
        "Send strict JSON in UTF-8, each name once in an object; or one of the two form encodings.",
    ),
    _http(400, "bad_request", "The request cannot be read.", "Look at the request as it was sent."),
    _http(
        400, "invalid_cursor", "This cursor is not one that this list gave with these filters and this ordering.",
        "Follow `next` and `previous` as they are. With other filters begin at the first page.",
        ("cursor", "invalid_cursor", "This cursor is not one that this list gave."),
    ),
    _http(
        400, "invalid_idempotency_key", "Idempotency-Key is 1 to 255 printable ASCII characters.",
        "A UUID for each new request does well.",
    ),
    _rule("invalid_name", "name", "The name is empty.", "Send another name."),
    _rule("invalid_note", "text", "The note has no text.", "Send a text."),
    _rule("unknown_tag", "tags", "There is no tag 'webinar'.", "Create it first, or give the key `tags:write`."),
    _rule(
        "owner_banned", "owner_id", "Ravi Kumar is banned and can't be given leads.",
        "Choose a user whose `active` is true.",
    ),
    _http(
        401, "not_authenticated", "Send the API key's token: Authorization: Bearer cly_live_…",
        "Send the header `Authorization: Bearer <token>`. A query parameter or a cookie is never read.",
    ),
    _http(
        401, "invalid_token", "The token is unknown, was regenerated or deleted, or has expired.",
        "Ask a company admin for the new token of the key.",
    ),
    _http(
        401, "key_inactive", "The API key is deactivated.",
        "A company admin can activate it again; the token stays the same.",
    ),
    _http(
        403, "insufficient_scope", "The API key lacks the scope leads:read.",
        "`WWW-Authenticate` names the scope. A company admin can tick it.",
    ),
    _http(
        403, "address_not_allowed", "This API key may not be used from this address.",
        "A company admin can add the address to the key's list.",
    ),
    _http(
        403, "origin_not_allowed", "This API key may not be used by web pages of this origin.",
        "A company admin can add the web site to the key's origins.",
    ),
    _http(
        403, "webhooks_not_allowed",
        "The API key may not manage webhooks; an admin switches it on under Settings → API.",
        "A company admin can switch it on. It is off by default.",
    ),
    _http(403, "permission_denied", "This is not allowed.", "No API key can do this."),
    _http(404, "not_found", "There is nothing here.", "It was deleted, never was, or is not for this key to see."),
    _http(
        405, "method_not_allowed", 'Method "PUT" not allowed.', "`Allow` names the methods of this address.",
    ),
    _http(
        406, "not_acceptable", "Could not satisfy the request Accept header.",
        "Ask for `application/json`; lists also come as `text/csv` and `application/x-ndjson`.",
    ),
    _rule(
        "duplicate_phone", "phone", "Another lead has the number +919876543210.",
        "Change the lead in `existing_id`, or send `?on_duplicate=update` or `ignore`.", existing_id=1042,
    ),
    _rule(
        "duplicate_external_id", "external_id", "Another lead has the external id 'zoho-77'.",
        "Change the lead in `existing_id`, or send `?on_duplicate=update` or `ignore`.", existing_id=1042,
    ),
    _rule("invalid", "events", "A webhook needs at least one event.", "`errors` names the field."),
    _rule(
        "invalid_url", "url", "Webhooks go to public addresses, and 10.0.0.7 is none.",
        "Send an `https` address that is reached from outside.",
    ),
    _rule(
        "invalid_secret", "secret", "A secret has at least 16 characters.",
        "Send another one, `generate`, or null for none.",
    ),
    _rule(
        "secret_undecryptable", "secret", "The secret can't be decrypted: its field key is gone.",
        "Send a new secret.",
    ),
    _rule("webhook_off", "active", "The webhook is off.", 'Turn it on first: `{"active": true}`.'),
    _http(
        409, "already_resending", "Events are being sent again already; wait until all of them are queued.",
        "Many are queued by a worker, in batches. Ask again when `…/deliveries` shows the last of them.",
    ),
    _rule(
        "nothing_to_replay", "event_id", "There is no such event for this webhook.",
        "`…/deliveries` tells what was queued.",
    ),
    _http(
        409, "answer_unreadable", "This request was answered before, but the answer can't be read any more.",
        "Read what it made; do not repeat it under a new key.",
    ),
    _rule("duplicate_name", "name", "There is a tag 'hot' already.", "Use the one in `existing_id`.", existing_id=5),
    _rule(
        "lead_cap_reached", "owner_id", "Ravi Kumar may hold 200 leads and has room for 0 more.",
        "Choose another owner, or have the cap raised.", lead_cap=200, room=0,
    ),
    _http(
        409, "conflict", "Another change came first; read again and retry.", "Read the object again, then repeat.",
    ),
    _http(
        409, "idempotency_key_in_use", "The first request with this Idempotency-Key is still at work.", _WAIT,
    ),
    _rule(
        "cursor_expired", "after", "Events behind this place were pruned; read the resources anew.",
        "Load the resources anew, then go on with `after=latest`.",
    ),
    _http(
        411, "length_required", "Send the body with a Content-Length.",
        "Chunked bodies are not taken; send them whole.",
    ),
    _http(
        412, "precondition_failed", "The object is not at that version any more; read it again.",
        "Read it, decide anew, and send the new `ETag` in `If-Match`.",
    ),
    _http(413, "too_large", "A body has at most 1048576 bytes.", "Send fewer items in one request."),
    _http(
        414, "uri_too_long", "The address with its query is too long.",
        "An address has at most 8,190 bytes: ask in several requests.",
    ),
    _http(
        415, "unsupported_media_type", 'Unsupported media type "text/plain" in request.',
        "Say what the body is in `Content-Type`.",
    ),
    _http(
        422, "idempotency_key_reused",
        "This Idempotency-Key was used for another body or query. Take a new one for each request.",
        "A repeat must be the same request; a new request needs a new key.",
    ),
    _http(
        431, "headers_too_large", "There are too many headers, or one is too long.",
        "At most 100 headers of 8,190 bytes are read.",
    ),
    _http(429, "rate_limited", "Too many requests; try again in 3 s.", _WAIT),
    _http(
        500, "internal_error", "Something went wrong on our side; the request id finds it in the log.",
        "Repeat a read, or a write with its `Idempotency-Key`. Tell us the request id.",
    ),
    _http(
        503, "database_unavailable",
        "The database does not answer now; nothing was changed. Try again shortly.", _WAIT,
    ),
)  # fmt: skip
ERRORS: Final[Mapping[str, ErrorKind]] = {kind.code: kind for kind in _ALL}


# Python's own words for these have changed, and the tracked document must not change with them.
_PHRASES: Final = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}


def phrase(status: int) -> str:
    """What HTTP calls the status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def by_status(codes: Iterator[str]) -> dict[int, list[ErrorKind]]:
    """The errors of these codes, each once, by status and in the order of this table; a code must be known."""
    wanted = set(codes)
    if unknown := wanted - ERRORS.keys():
        raise KeyError(f"calliyo.reference.errors says nothing of {', '.join(sorted(unknown))}.")
    found: dict[int, list[ErrorKind]] = {}
    for kind in _ALL:
        if kind.code in wanted:
            found.setdefault(kind.status, []).append(kind)
    return dict(sorted(found.items()))
