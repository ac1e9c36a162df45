"""The API's requests go straight to their views: sessions, logins, forms' tokens and messages are for pages."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import ResolverMatch, URLResolver, get_resolver

# An answer of data runs nothing and is shown in nobody's frame.
_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_PAGES: Final = "/public/docs"
_RESOLVED: Final = 256  # paths whose views are known; callers ask for the same few lists over and over


class DirectMiddleware:
    """Skips the middleware behind it for `/public/` but its page: a ninth of what a list's page takes to compute."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not path.startswith("/public/") or path.startswith(_PAGES):
            return self.get_response(request)
        request.resolver_match = match = _resolved(get_resolver(), path)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
            response.render()
        response.headers["Content-Security-Policy"] = _POLICY
        return response


@lru_cache(_RESOLVED)
def _resolved(resolver: URLResolver, path: str) -> ResolverMatch:
    """Django's, which tries the patterns one after the other; requests share what it finds, and none changes it."""
    return resolver.resolve(path)
