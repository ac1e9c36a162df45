"""Which web pages may use a key: the `Origin` that a browser tells, judged."""

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request

from apikeys.models import APIKey


def origin_of(request: HttpRequest | Request) -> str:
    """The origin of the page that asks; empty for programs, which tell none."""
    origin: str = request.META.get("HTTP_ORIGIN", "")
    return origin.lower()


def is_foreign(request: HttpRequest | Request) -> bool:
    """Whether a page asks that is not Calliyo's own; programs send no `Origin`."""
    origin = origin_of(request)
    return origin not in {"", settings.BASE_URL} and origin != request.build_absolute_uri("/")[:-1]


def is_allowed_origin(request: HttpRequest | Request, key: APIKey) -> bool:
    """Whether the page that asks, if it is one, is Calliyo's own or one that the key allows."""
    return not is_foreign(request) or origin_of(request) in key.allowed_origins


def live_key_allows(origin: str) -> bool:
    """Whether any key that is in use allows this origin."""
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    # Few keys have any, so they are looked through here: SQLite cannot look into a JSON list.
    lists = APIKey.objects.filter(in_time, active=True).exclude(allowed_origins=[])
    return any(origin in origins for origins in lists.values_list("allowed_origins", flat=True))
