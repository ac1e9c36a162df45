"""What may be said of a lead: when it is new, and when it is changed."""

from typing import Any

from rest_framework import serializers

from calliyo.api.inputs import Input
from leads.api.inputs import PhoneField, RowField, StatusField, TagNamesField, TextField
from leads.models import Campaign, User


class LeadInput(Input):
    first_name = TextField(max_length=100)
    last_name = TextField(max_length=100, required=False, allow_blank=True, allow_null=True)
    phone = PhoneField()
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True, allow_null=True)
    status = StatusField(required=False)
    owner_id = RowField(model=User, source="owner", required=False, allow_null=True)
    campaign_id = RowField(model=Campaign, source="campaign", required=False, allow_null=True)
    source = TextField(  # type: ignore[assignment]  # taken out of the class before a serializer reads its own
        max_length=100, required=False, allow_blank=True, allow_null=True
    )
    external_id = TextField(max_length=255, required=False, allow_null=True)
    tags = TagNamesField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A text that is not there is empty, as the picture shows it."""
        for name in ("last_name", "email", "source"):
            if name in attrs and attrs[name] is None:
                attrs[name] = ""
        return attrs


class LeadChangesInput(LeadInput):
    add_tags = TagNamesField()
    remove_tags = TagNamesField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`tags` replaces the set, the other two change it: both at once would contradict each other."""
        if "tags" in attrs and not {"add_tags", "remove_tags"}.isdisjoint(attrs):
            raise serializers.ValidationError(
                {"tags": "Send either tags, or add_tags and remove_tags."}, code="contradiction"
            )
        return super().validate(attrs)
