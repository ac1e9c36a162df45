"""Every call of a key is counted when it is answered, and noted when it was not served."""

import re
from collections.abc import Callable
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from apikeys import tally
from apikeys.callers import CALLED_BY, COUNTED_AS
from apikeys.models import CallResult, RefusedCall
from apikeys.scopes import Access
from calliyo.api.addresses import client_address
from calliyo.api.problems import CONTENT_TYPE
from calliyo.api.request_id import current_request_id

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED: Final = frozenset({401, 403, 429})
# What a program put into the address by mistake must not lie in a table.
_SECRET: Final = re.compile(r"(cly_live_|whsec_)[^/]*|\0")
_LONGEST_PATH: Final = 200


class CountCallsMiddleware:
    """Asks after the answer which key has called; who sent no known token is not counted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        api_key_id: int | None = request.META.get(CALLED_BY)
        if api_key_id is not None:
            status = response.status_code
            tally.TALLY.count(
                api_key_id,
                request.META.get(COUNTED_AS) or request.path_info.split("/", 3)[2][:20],
                Access.READ if request.method in _READING else Access.WRITE,
                result_of(status),
                None if status < 400 else _refused_call(api_key_id, request, response),
            )
        return response


def result_of(status: int) -> CallResult:
    """What came of a call with this HTTP status."""
    if status < 400:
        return CallResult.OK
    if status in _REFUSED:
        return CallResult.REFUSED
    return CallResult.INVALID if status < 500 else CallResult.FAILED


def _refused_call(api_key_id: int, request: HttpRequest, response: HttpResponseBase) -> RefusedCall:
    address = client_address(request)
    path = request.path_info.encode(errors="replace").decode()
    return RefusedCall(
        api_key_id=api_key_id,
        at=timezone.now(),
        method=(request.method or "")[:16].replace("\0", ""),
        path=_SECRET.sub(lambda found: f"{found[1]}…" if found[1] else "�", path)[:_LONGEST_PATH],
        status=response.status_code,
        code=_code_of(response),
        address=str(address) if address else None,
        request_id=current_request_id() or "",
    )


def _code_of(response: HttpResponseBase) -> str:
    """The problem's code; empty for an answer that is no problem."""
    if not isinstance(response, HttpResponse) or response.headers.get("Content-Type") != CONTENT_TYPE:
        return ""
    problem: dict[str, Any] = orjson.loads(response.content)
    return str(problem["code"])[:60]
