"""Events and webhooks as an app."""

from importlib import import_module

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        # By name: it imports models, and those may be imported only now that all apps are known.
        import_module("webhooks.capture").connect()
