"""The project as an app: its one table, its pages and its commands."""

from django.apps import AppConfig


class CalliyoConfig(AppConfig):
    name = "calliyo"
