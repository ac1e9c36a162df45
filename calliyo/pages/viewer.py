"""Where the reader is: his browser says it in a cookie (`settings.js`), so that times are by his own clock."""

from contextlib import AbstractContextManager
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest
from django.utils import timezone

COOKIE: Final = "calliyo_zone"


def in_viewers_zone(request: HttpRequest) -> AbstractContextManager[None]:
    """Within it the current time zone is the reader's; the company's, where the browser names none that exists."""
    name = request.COOKIES.get(COOKIE, "")
    return timezone.override(
        ZoneInfo(name) if name in available_timezones() else timezone.get_current_timezone()
    )
