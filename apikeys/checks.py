"""A route under `/public/` without a declared scope refuses everyone; this says so before anybody asks."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.urls import URLPattern, URLResolver, get_resolver

from apikeys.permissions import OPEN, AnyKey, AnyOf, HasScope, Open
from apikeys.scopes import Resource

PUBLIC = "public/"


def every_public_route_declares_its_scope(**_: Any) -> list[CheckMessage]:
    """apikeys.E001: a view of the public API has no `resource`; E002: it does not ask for scopes at all."""
    return [
        problem
        for route, view in public_routes()
        for problem in ([_undeclared(route, view)] if not _declares(view) else _unguarded(route, view))
    ]


def public_routes() -> Iterator[tuple[str, Any]]:
    """Every address under `/public/`, with the view class (or function) behind it."""
    for route, callback in _walked(get_resolver().url_patterns, ""):
        if route.startswith(PUBLIC):
            yield route, getattr(callback, "cls", callback)


def _walked(patterns: list[Any], start: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = start + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walked(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def _declares(view: Any) -> bool:
    return isinstance(getattr(view, "resource", None), Resource | AnyKey | AnyOf | Open)


def _undeclared(route: str, view: Any) -> CheckMessage:
    return Error(
        f"/{route} ({view.__name__}) declares no `resource`, so it refuses everyone.", id="apikeys.E001"
    )


def _unguarded(route: str, view: Any) -> list[CheckMessage]:
    if view.resource is OPEN or HasScope in view.permission_classes:
        return []
    return [Error(f"/{route} ({view.__name__}) does not ask for the key's scopes.", id="apikeys.E002")]
