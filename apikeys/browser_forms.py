"""Browser forms: which web pages of other sites may post, and the one route that answers them (CORS).

A token in a web page is public. So a key with allowed origins may only write leads, is refused to pages of other
origins (`authentication`), and has a limit for each address (`throttling`). CORS itself protects nothing of ours: it
lets a browser's script read the answers.
"""

from typing import Any, Final

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.origins import is_foreign, live_key_allows, origin_of
from calliyo.api.problems import Problem, answer
from calliyo.api.views import ApiView

log = structlog.get_logger(__name__)

_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Request-Id",
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"


class OpenToBrowserForms(ApiView):
    """A route that web pages of other sites may call; never with cookies or other credentials of the browser's."""

    def is_open_to_browsers(self) -> bool:
        """Whether this address of the view is meant."""
        return True

    @property
    def default_response_headers(self) -> dict[str, str]:
        """As ever; and what an answer says of the page that asks holds for its origin alone."""
        headers = super().default_response_headers
        if self.is_open_to_browsers():
            headers["Vary"] = f"{headers['Vary']}, Origin" if "Vary" in headers else "Origin"
        return headers

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answers a preflight, which bears no token, before anybody asks for one."""
        if self.is_open_to_browsers() and request.method == "OPTIONS" and is_foreign(request):
            return _preflight(request)
        return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Lets the page read the answer, refusals too, where any key allows its origin."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.is_open_to_browsers() and is_foreign(request) and _may_be_read_by(origin_of(request)):
            response["Access-Control-Allow-Origin"] = origin_of(request)
            response["Access-Control-Expose-Headers"] = _EXPOSED
        return response


def _preflight(request: HttpRequest) -> HttpResponse:
    origin = origin_of(request)
    if live_key_allows(origin):
        response = HttpResponse(status=204, headers={"Access-Control-Allow-Origin": origin} | _PREFLIGHT)
        del response["Content-Type"]
    else:
        detail = "No API key may be used by web pages of this origin."
        response = answer(Problem(status=403, code="origin_not_allowed", detail=detail))
    patch_vary_headers(
        response, ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"]
    )
    return response


def _may_be_read_by(origin: str) -> bool:
    try:
        return live_key_allows(origin)
    except DatabaseError as error:
        # The answer says already that the database is away.
        log.warning("browser_forms.origin_not_looked_up", error=str(error))
        return False
