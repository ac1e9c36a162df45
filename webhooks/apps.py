"""Events and webhooks as an app."""

from django.apps import AppConfig

from webhooks import capture


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        capture.connect()
