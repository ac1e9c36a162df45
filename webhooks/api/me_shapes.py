"""What the JSON of `/public/me` holds, for the API's description."""

from rest_framework import serializers

from calliyo.api.shapes import Shape
from webhooks.catalogue import EventType


def _number(text: str, *, null: bool = False) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=text, allow_null=null)


def _texts(text: str) -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(), help_text=text)


class LimitsShape(Shape):
    requests = _number("Requests in one window; null: no limit.", null=True)
    window_seconds = _number("The window's length.", null=True)
    burst = _number("How many may come at once.", null=True)
    allowed_addresses = _texts("Networks (CIDR) that the key may be used from; empty: any.")
    allowed_origins = _texts("Web sites whose pages may use the key; empty: none.")


class WebhookOfKeyShape(Shape):
    id = _number("The webhook.")
    url = serializers.CharField(help_text="Where its events go.")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=[kind.value for kind in EventType]),
        help_text="What it is told.",
    )
    active = serializers.BooleanField(help_text="False: turned off.")
    has_secret = serializers.BooleanField(help_text="Whether its deliveries are signed.")


class MeShape(Shape):
    id = _number("The key.")
    name = serializers.CharField(help_text="Its name.")
    prefix = serializers.CharField(help_text="The first characters of its token, to tell keys apart.")
    scopes = _texts("What it may read and write.")
    manage_webhooks = serializers.BooleanField(help_text="Whether it may manage webhooks of its own.")
    created_at = serializers.DateTimeField(help_text="When it was created.")
    expires_at = serializers.DateTimeField(help_text="When it ends; null: never.", allow_null=True)
    limits = LimitsShape(help_text="How often, and from where, it may ask.")
    webhooks = WebhookOfKeyShape(many=True, help_text="The webhooks of this key.")
