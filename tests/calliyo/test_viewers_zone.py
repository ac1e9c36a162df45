"""Times are told in the viewer's zone, the exact one on hover; days, such as a key's last one, are the company's."""

from datetime import UTC, datetime

import pytest
import time_machine

from apikeys.models import APIKey
from calliyo.pages.viewer import COOKIE
from tests.calliyo.conftest import TAB

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 25, 6, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cookie", "spoken", "exact"),
    [
        (None, "today 11:50", "25 Nov 2026, 11:50:30 IST"),  # the company is in India
        ("Europe/Berlin", "today 07:20", "25 Nov 2026, 07:20:30 CET"),
        ("America/New_York", "today 01:20", "25 Nov 2026, 01:20:30 EST"),
        ("Pacific/Honolulu", "yesterday 20:20", "24 Nov 2026, 20:20:30 HST"),
        ("Mars/Olympus", "today 11:50", "25 Nov 2026, 11:50:30 IST"),
        ("../../etc/passwd", "today 11:50", "25 Nov 2026, 11:50:30 IST"),
        ("America", "today 11:50", "25 Nov 2026, 11:50:30 IST"),
    ],
)
def test_times_are_the_viewers(desk, key_with, cookie, spoken, exact):
    key = key_with("leads:read")
    with time_machine.travel(NOON, tick=False):
        APIKey.objects.filter(pk=key.pk).update(
            last_used_at=MORNING, expires_at=datetime(2031, 1, 31, 18, 30, tzinfo=UTC)
        )
        if cookie:
            desk.client.cookies[COOKIE] = cookie
        page = desk.see()
        assert f'title="{exact}">{spoken}</time>' in page
        assert "works through 31 Jan 2031" in page
        assert "As it is: 31 Jan 2031" in desk.see(f"{TAB}&key={key.pk}")
