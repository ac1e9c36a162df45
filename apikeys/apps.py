"""API keys as an app."""

from django.apps import AppConfig
from django.core.checks import register

from apikeys.checks import every_public_route_declares_its_scope


class APIKeysConfig(AppConfig):
    name = "apikeys"
    verbose_name = "API keys"

    def ready(self) -> None:
        register(every_public_route_declares_its_scope, "api")
