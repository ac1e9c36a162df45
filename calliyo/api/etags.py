"""`ETag`s: of one object, whose version `If-Match` may name, and of a page, whose content alone counts."""

import hashlib
from typing import Final

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

_READING: Final = frozenset({"GET", "HEAD"})


def named_etags(request: Request | HttpRequest, header: str) -> frozenset[str]:
    """The tags that `header` names, weak ones as strong ones."""
    parts = (part.strip().removeprefix("W/") for part in request.headers.get(header, "").split(","))
    return frozenset(part for part in parts if part)


def is_known(request: Request | HttpRequest, etag: str) -> bool:
    """Whether `If-None-Match` names this tag, or any with `*`."""
    return not named_etags(request, "If-None-Match").isdisjoint({etag, "*"})


def tagged_answer(request: Request, content: bytes, *, version: int, status: int = 200) -> HttpResponse:
    """`content` (JSON) as an answer with its `ETag`, or 304 where the caller has this very answer."""
    etag = f'"{version}.{digest(content)}"'
    if request.method in _READING and is_known(request, etag):
        return HttpResponse(status=304, headers={"ETag": etag})
    return HttpResponse(content, status=status, content_type="application/json", headers={"ETag": etag})


def digest(content: bytes) -> str:
    """What tells one content from another."""
    return hashlib.sha256(content).hexdigest()[:16]
