"""`/public/openapi.json`: the description for programs, written for the host that is asked. Open to all."""

from collections.abc import Callable
from functools import lru_cache, wraps

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apikeys.permissions import OPEN
from calliyo.api.etags import digest, is_known
from calliyo.api.problems import Problem, answer
from calliyo.reference.document import document_for

View = Callable[[HttpRequest], HttpResponse]


def open_to_all(view: View) -> View:
    """A document that needs no token; it can be read, and nothing else."""

    @csrf_exempt  # what is only read needs no form's token, and a wrong method is to be told of itself
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            detail = f"Method {request.method!r} not allowed."
            allow = {"Allow": "GET, HEAD"}
            return answer(Problem(status=405, code="method_not_allowed", detail=detail, headers=allow))
        return view(request)

    guarded.resource = OPEN  # type: ignore[attr-defined]  # what `apikeys.checks` asks of every route
    return guarded


@open_to_all
def openapi(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3.1 as JSON, or 304 for who has it."""
    content = _content(request.build_absolute_uri("/")[:-1])
    etag = f'"{digest(content)}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_known(request, etag):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(content, content_type="application/json", headers=headers)


@lru_cache(maxsize=8)
def _content(base: str) -> bytes:
    return orjson.dumps(document_for(base))
