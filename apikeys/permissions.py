"""Which scope a request needs: the view's declared resource and the method say it, nothing else does."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apikeys.callers import Caller
from apikeys.scopes import Access, Resource, Scope, scope_for
from calliyo.api.problems import FieldError, Refusal

_READING: Final = frozenset({"GET", "HEAD"})


class AnyKey(Enum):
    """Declared instead of a resource by what every key may ask, whatever its scopes."""

    ANY_KEY = "any key"


ANY_KEY: Final = AnyKey.ANY_KEY


class Open(Enum):
    """Declared by a document that tells nothing of the CRM, and so needs no key at all."""

    OPEN = "open"


OPEN: Final = Open.OPEN


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Declared instead of a resource by what several scopes let read; what each of them shows, the view decides."""

    scopes: tuple[Scope, ...]


class HasScope(BasePermission):
    """Lets a key in that holds the scope of the view's `resource`; a view without one lets in nobody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """True, or a 403 that names the missing scope."""
        if not isinstance(request.auth, Caller):
            return False
        resource = getattr(view, "resource", None)
        if not isinstance(resource, Resource | AnyKey | AnyOf):
            raise refused("This address is not open to API keys.")
        if resource is ANY_KEY or not _is_served(request, view):
            return True
        needed = needed_scopes(resource, request.method or "")
        if not needed:
            raise refused("No API key can change this.")
        if request.auth.scopes.isdisjoint(needed):
            raise refused(f"The API key lacks the scope {' or '.join(needed)}.", *needed)
        return True


class MayManageWebhooks(BasePermission):
    """Beside `HasScope`, where a key manages its own webhooks: lets a key in whose switch for it is on."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """True, or a 403 that names the switch."""
        if not isinstance(request.auth, Caller):
            return False
        if not _is_served(request, view) or request.auth.key.manage_webhooks:
            return True
        detail = "The API key may not manage webhooks; an admin switches it on under Settings → API."
        raise Refusal(status=403, code="webhooks_not_allowed", detail=detail)


def needed_scopes(resource: Resource | AnyOf, method: str) -> tuple[Scope, ...]:
    """The scopes of which `method` on `resource` needs one; none where the product grants none."""
    if isinstance(resource, AnyOf):
        return resource.scopes if method in _READING else ()
    needed = needed_scope(resource, method)
    return () if needed is None else (needed,)


def needed_scope(resource: Resource, method: str) -> Scope | None:
    """The scope that `method` on `resource` needs; None where the product grants none."""
    return scope_for(resource, Access.READ if method in _READING else Access.WRITE)


def missing_scope(needed: Scope) -> Refusal:
    """The 403 that names the scope."""
    return refused(f"The API key lacks the scope {needed.value}.", needed)


def _is_served(request: Request, view: Any) -> bool:
    """Whether the view does something for this method; OPTIONS and a 405 tell nothing of the resource."""
    method = (request.method or "").lower()
    return method != "options" and method in view.http_method_names and hasattr(view, method)


def refused(detail: str, *needed: Scope, errors: tuple[FieldError, ...] = ()) -> Refusal:
    """The 403 of a key that lacks a scope, which it names."""
    challenge = 'Bearer realm="calliyo", error="insufficient_scope"'
    if needed:
        challenge += f', scope="{" ".join(needed)}"'
    headers = {"WWW-Authenticate": challenge}
    return Refusal(status=403, code="insufficient_scope", detail=detail, headers=headers, errors=errors)
