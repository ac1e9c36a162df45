"""RFC 9457 problems: the one place where any error becomes an answer of the contract's form.

Rules raise `DomainError`, HTTP's own refusals are `Refusal`, the rest is Django's and REST framework's.
All are turned here, in the views of the API (`exception_handler`) and outside (`handler400` … `handler500`).
"""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from django.conf import settings
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.core.signals import got_request_exception
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.utils.translation import gettext, gettext_noop
from django.views import defaults
from rest_framework import exceptions
from rest_framework.settings import api_settings

from calliyo.api.request_id import current_request_id
from calliyo.errors import DomainError

log = structlog.get_logger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5

# The status of each domain error's code; what is not named here is a wrong input, 400.
DOMAIN_STATUS: Final[dict[str, int]] = {
    "duplicate_phone": 409,
    "duplicate_external_id": 409,
    "duplicate_name": 409,
    "lead_cap_reached": 409,
    "status_protected": 409,
    "status_in_use": 409,
    "conflict": 409,
    "idempotency_key_reused": 422,
    "idempotency_key_in_use": 409,
    "cursor_expired": 410,
    "precondition_failed": 412,
    "insufficient_scope": 403,
    "forbidden_field": 403,
    "not_found": 404,
    "webhook_off": 409,
    "already_resending": 409,
    "secret_undecryptable": 409,
}

_TITLES: Final[dict[str, str]] = {
    "validation_failed": gettext_noop("The request has a value that cannot be taken"),
    "malformed_body": gettext_noop("The body cannot be read"),
    "not_authenticated": gettext_noop("No token was sent"),
    "invalid_token": gettext_noop("The token is not valid"),
    "key_inactive": gettext_noop("The API key is deactivated"),
    "address_not_allowed": gettext_noop("The API key is not allowed from this address"),
    "origin_not_allowed": gettext_noop("The API key is not allowed for this web site"),
    "insufficient_scope": gettext_noop("The API key lacks a scope"),
    "webhooks_not_allowed": gettext_noop("The API key may not manage webhooks"),
    "rate_limited": gettext_noop("Too many requests"),
    "duplicate_phone": gettext_noop("A lead with this phone number exists"),
    "duplicate_external_id": gettext_noop("A lead with this external_id exists"),
    "idempotency_key_in_use": gettext_noop("The first request with this Idempotency-Key is still at work"),
    "idempotency_key_reused": gettext_noop("The Idempotency-Key belongs to another request"),
    "precondition_failed": gettext_noop("The object has another version by now"),
    "too_large": gettext_noop("The body is too large"),
    "uri_too_long": gettext_noop("The address is too long"),
    "headers_too_large": gettext_noop("The headers are too large"),
    "invalid_cursor": gettext_noop("The cursor is not one that this list gave"),
    "cursor_expired": gettext_noop("Events after this place are no longer kept"),
    "database_unavailable": gettext_noop("The database is away"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong field or parameter; `field` is its path (`tags.2`), null when the whole is meant."""

    field: str | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error says to the caller. `extra` are members beside the contract's (such as `existing_id`)."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)


_FORESEEN: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Problem], ...]] = (
    (
        (Http404, ObjectDoesNotExist),
        Problem(status=404, code="not_found", detail="There is nothing here."),
    ),
    (
        PermissionDenied,
        Problem(status=403, code="permission_denied", detail="This is not allowed."),
    ),
    (
        RequestDataTooBig,
        Problem(status=413, code="too_large", detail="The body is too large."),
    ),
    (
        (SuspiciousOperation, UnreadablePostError),
        Problem(status=400, code="bad_request", detail="The request cannot be read."),
    ),
    (
        DataError,
        Problem(status=400, code="validation_failed", detail="A value is out of the range that can be kept."),
    ),
    (
        IntegrityError,
        Problem(status=409, code="conflict", detail="Another change came first; read again and retry."),
    ),
    (
        (OperationalError, InterfaceError),
        Problem(
            status=503,
            code="database_unavailable",
            detail="The database does not answer now; nothing was changed. Try again shortly.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        ),
    ),
)
_UNFORESEEN: Final = Problem(
    status=500,
    code="internal_error",
    detail="Something went wrong on our side; the request id finds it in the log.",
)


class Refusal(exceptions.APIException):
    """HTTP itself refuses (who calls, how often, in which form): status, stable code, reason, headers."""

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.problem = Problem(status=status, code=code, detail=detail, headers=headers or {}, errors=errors)


def refuse_values(*errors: FieldError) -> Refusal:
    """The 400 that names wrong fields or parameters."""
    problem = _invalid(errors)
    return Refusal(status=400, code=problem.code, detail=problem.detail, errors=errors)


def no_such_address() -> Refusal:
    """The 404 of an address that the API does not have."""
    return Refusal(status=404, code="not_found", detail="There is no such address in this API.")


def answer(problem: Problem) -> HttpResponse:
    """`problem` as an `application/problem+json` answer."""
    content = orjson.dumps(members(problem), default=str)
    return HttpResponse(
        content, status=problem.status, content_type=CONTENT_TYPE, headers=dict(problem.headers)
    )


def members(problem: Problem) -> dict[str, object]:
    """`problem` as a JSON object; what it bears beside the contract's members stands before them."""
    return {
        **problem.extra,
        "type": f"{settings.BASE_URL}/public/docs#{problem.code}",
        "title": title_of(problem.code, problem.status),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "errors": problem.errors,
        "request_id": current_request_id(),
    }


def title_of(code: str, status: int) -> str:
    """What a code means, in a few words; for one without words of its own, what its HTTP status means."""
    return gettext(_TITLES[code]) if code in _TITLES else HTTPStatus(status).phrase


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """REST framework's hook: every error that leaves a view of the API ends here."""
    problem = problem_of(error)
    request: HttpRequest = context["request"]
    if problem.status >= 500 or isinstance(error, IntegrityError | DataError):
        log.error("api.failed", status=problem.status, code=problem.code, path=request.path, exc_info=error)
    if problem.status == 500:
        # Error trackers and Django's test client hear of it as of any other crash.
        got_request_exception.send(sender=None, request=request)
    return answer(problem)


def problem_of(error: BaseException | None) -> Problem:
    """What `error` says to a caller; an error that nobody foresaw is a 500 that tells nothing of itself."""
    match error:
        case Refusal():
            return error.problem
        case DomainError():
            return _broken_rule(error)
        case exceptions.ValidationError():
            return _invalid(tuple(_flattened(error.get_full_details(), "")))
        case ValidationError():
            return _invalid(tuple(_django_errors(error)))
        case exceptions.APIException():
            return _http_refusal(error)
        case _:
            return next((problem for kinds, problem in _FORESEEN if isinstance(error, kinds)), _UNFORESEEN)


# ── Outside the API's views: Django's own error handlers ────────────────────────────────────────────────────


def is_public(request: HttpRequest) -> bool:
    """Whether `request` asks the public API, so that its errors are problems and not pages."""
    return request.path_info == "/public" or request.path_info.startswith("/public/")


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400 (a wrong host, too many fields): a problem under `/public/`, the usual page elsewhere."""
    if is_public(request):
        return answer(problem_of(exception))
    return defaults.bad_request(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403: a problem under `/public/`, the usual page elsewhere."""
    if is_public(request):
        return answer(problem_of(exception))
    return defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404: a problem under `/public/`, the usual page elsewhere."""
    if is_public(request):
        return answer(no_such_address().problem)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    """Django's 500: a problem under `/public/` (503 when the database is away), the usual page elsewhere."""
    if is_public(request):
        return answer(problem_of(sys.exception()))
    return defaults.server_error(request)


# ── One kind of error each ──────────────────────────────────────────────────────────────────────────────────


def _broken_rule(error: DomainError) -> Problem:
    errors = (FieldError(field=error.field, code=error.code, detail=error.detail),) if error.field else ()
    return Problem(
        status=DOMAIN_STATUS.get(error.code, 400),
        code=error.code,
        detail=error.detail,
        errors=errors,
        extra=error.extra,
    )


_HTTP_CODES: Final[dict[int, str]] = {
    400: "malformed_body",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    415: "unsupported_media_type",
}


def _http_refusal(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.Throttled):
        wait = str(math.ceil(error.wait or 1))  # type: ignore[attr-defined]  # not in the stubs
        detail = f"Too many requests; try again in {wait} s."
        return Problem(status=429, code="rate_limited", detail=detail, headers={"Retry-After": wait})
    code = _HTTP_CODES.get(error.status_code, "refused")
    # REST framework leaves an authenticator's challenge here.
    challenge = getattr(error, "auth_header", None)
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    return Problem(status=error.status_code, code=code, detail=str(error.detail), headers=headers)


def _invalid(errors: tuple[FieldError, ...]) -> Problem:
    first = errors[0]
    detail = f"{first.field}: {first.detail}" if first.field else first.detail
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more)"
    return Problem(status=400, code="validation_failed", detail=detail, errors=errors)


def _flattened(details: Any, path: str) -> Iterator[FieldError]:
    """REST framework's nested details, a row for each leaf, named by its path."""
    if isinstance(details, list):
        for item in details:
            yield from _flattened(item, path)
    elif "message" in details and "code" in details and isinstance(details["message"], str):
        yield FieldError(field=path or None, code=str(details["code"]), detail=str(details["message"]))
    else:
        for name, item in details.items():
            whole = name in {api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS}
            yield from _flattened(item, path if whole else f"{path}.{name}".lstrip("."))


def _django_errors(error: ValidationError) -> Iterator[FieldError]:
    named = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    for name, errors in named.items():
        for one in errors:
            field_name = None if name == NON_FIELD_ERRORS else name
            yield FieldError(field=field_name, code=one.code or "invalid", detail=" ".join(one.messages))
