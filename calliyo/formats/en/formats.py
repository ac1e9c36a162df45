"""Dates of the admin as the Settings write them: 3 Nov 2026, 17:09."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
