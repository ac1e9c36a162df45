"""Pages as their reader wants them: times in his zone, which his browser tells in a cookie, else in the company's."""

from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

ZONE_COOKIE: Final = "timezone"  # set by frame.js


def viewers_zone(request: HttpRequest) -> ZoneInfo | None:
    """The zone that the browser told; None where it told none that there is."""
    name = request.COOKIES.get(ZONE_COOKIE, "")
    return ZoneInfo(name) if name in _zones() else None


def rendered(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """The template with every moment in the viewer's zone. Days, such as a key's last one, stay the company's."""
    zone = viewers_zone(request)
    with timezone.override(zone) if zone else nullcontext():
        return render(request, template, dict(context))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
