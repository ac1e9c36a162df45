"""Calliyo's settings for the web process that is measured: its addresses, and the rivals' beside them."""

from calliyo.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
