"""What a page of the catch-up log holds, for the API's description."""

from rest_framework import serializers

from calliyo.api.shapes import Shape
from webhooks.catalogue import EventType


class EventShape(Shape):
    """An event as its webhook is told it; what `data` holds, its type says (see `webhooks` in this document)."""

    id = serializers.CharField(help_text="The same in every delivery: what was done for it once is done.")
    type = serializers.ChoiceField(choices=[kind.value for kind in EventType], help_text="What happened.")


class EventPageShape(Shape):
    results = EventShape(many=True, help_text="In the order in which they were committed.")
    next_after = serializers.CharField(help_text="The next `after`; keep it.")
    more = serializers.BooleanField(help_text="Whether something stands behind it already.")
