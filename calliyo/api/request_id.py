"""`X-Request-Id` on every answer, in every log line and in every problem."""

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

import structlog
from django.http import HttpRequest, HttpResponseBase

HEADER: Final = "X-Request-Id"

# What may go on into logs, headers and JSON as it is: no spaces, quotes, controls or markup.
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+@~-]{0,127}", re.ASCII)
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def current_request_id() -> str | None:
    """The id of the HTTP request that is being answered; None outside of one."""
    return _request_id.get()


def new_request_id() -> str:
    """An id for a request whose caller named none."""
    return f"req_{secrets.token_hex(12)}"


class RequestIdMiddleware:
    """Takes the caller's id when it is safe text of at most 128 characters, else makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        offered = request.headers.get(HEADER, "")
        request_id = offered if _SAFE.fullmatch(offered) else new_request_id()
        token = _request_id.set(request_id)
        # What the last request of this thread had bound (its key) is nothing of this one's.
        structlog.contextvars.clear_contextvars()
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                response = self.get_response(request)
        finally:
            _request_id.reset(token)
        response[HEADER] = request_id
        return response
