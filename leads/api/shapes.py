"""What the JSON of each resource holds, for the API's description, for `fields=` and for CSV's columns.

The values themselves are made by `leads.pictures`; a test holds that both name the same fields.
"""

from typing import Any

from rest_framework import serializers

from calliyo.actor import ActorType
from calliyo.api.shapes import Shape
from leads.models import CallDirection, CallStatus, CampaignStatus, FollowUpStatus, PaymentStatus, Role


def _id(text: str, *, null: bool = False) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=text, allow_null=null)


def _text(text: str, **options: Any) -> serializers.CharField:
    return serializers.CharField(help_text=text, **options)


def _moment(text: str, *, null: bool = False) -> serializers.DateTimeField:
    return serializers.DateTimeField(help_text=text, allow_null=null)


class DeletedShape(Shape):
    id = _id("What was deleted; of customers, the lead's id.")
    deleted_at = _moment("When it went.")


class AcceptedShape(Shape):
    accepted = serializers.BooleanField(help_text="True, for a new number and a known one alike.")
    request_id = _text("The request's id.")


class BatchResultShape(Shape):
    index = serializers.IntegerField(help_text="The item's place in the batch, from 0.")
    status = serializers.IntegerField(help_text="What the item alone would have been answered.")
    id = serializers.IntegerField(required=False, help_text="The lead, where the key may know it.")
    error = serializers.DictField(required=False, help_text="A problem, where the item was refused.")


class BatchResultsShape(Shape):
    results = BatchResultShape(many=True, help_text="One for each item, in their order.")


class StatusInLeadShape(Shape):
    id = _id("The lead status.")
    name = _text("Its name.")


class AuthorShape(Shape):
    type = serializers.ChoiceField(choices=[kind.value for kind in ActorType], help_text="Who wrote it.")
    id = _id("The author's id, which may outlive the author.", null=True)
    name = _text("The author's name; of a user, null to a key without users:read.", allow_null=True)


class Versioned(Shape):
    """What every stored resource has."""

    id = _id("Unique in its resource, for ever.")
    version = serializers.IntegerField(help_text="From 1, grown by each change.")


class LeadShape(Versioned):
    first_name = _text("First name.")
    last_name = _text("Last name, or empty.")
    phone = _text("E.164, such as +919876543210; unique.")
    email = _text("Email address, or empty.")
    status = StatusInLeadShape(help_text="The stage of the pipeline.")
    owner_id = _id("The user who works the lead.", null=True)
    campaign_id = _id("The campaign that it belongs to.", null=True)
    source = _text("Where it came from, or empty.")  # type: ignore[assignment]  # taken out of the class by DRF
    tags = serializers.ListField(child=serializers.CharField(), help_text="Names, in alphabetical order.")
    external_id = _text("The calling key's own id for the lead.", allow_null=True)
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")
    converted_at = _moment("When it became a customer; null while it is none.", null=True)


class CustomerShape(LeadShape):
    amount = _text("Major units, such as 1499.00.", allow_null=True)
    currency = _text("ISO 4217, such as INR.", allow_null=True)
    plan = _text("What was bought.", allow_null=True)
    payment_status = serializers.ChoiceField(
        choices=PaymentStatus.values, allow_null=True, help_text="How far it is paid."
    )


class UserShape(Versioned):
    name = _text("First and last name.")
    email = _text("Email address, or empty.")
    phone = _text("Phone number, or empty.")
    employee_code = _text("The company's own code, or empty.")
    role = serializers.ChoiceField(choices=Role.values, help_text="What the user may do.")
    active = serializers.BooleanField(help_text="False: banned.")
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")


class LeadStatusShape(Versioned):
    name = _text("Its name.")
    position = serializers.IntegerField(help_text="Its place in the pipeline.")
    protected = serializers.BooleanField(help_text="Whether it can be neither renamed nor deleted.")
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")


class TagShape(Versioned):
    name = _text("Unique without regard to case.")
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")


class CampaignShape(Versioned):
    name = _text("Its name.")
    status = serializers.ChoiceField(choices=CampaignStatus.values, help_text="How far it is.")
    starts_on = serializers.DateField(allow_null=True, help_text="Its first day.")
    ends_on = serializers.DateField(allow_null=True, help_text="Its last day.")
    agent_ids = serializers.ListField(child=serializers.IntegerField(), help_text="Users, by id.")
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")


class CallShape(Versioned):
    lead_id = _id("The lead that was talked to.")
    agent_id = _id("The user who called or answered.", null=True)
    direction = serializers.ChoiceField(choices=CallDirection.values, help_text="Who called whom.")
    status = serializers.ChoiceField(choices=CallStatus.values, help_text="How it ended.")
    connected = serializers.BooleanField(help_text="Whether anybody spoke.")
    started_at = _moment("When it began.")
    ended_at = _moment("When it ended.", null=True)
    duration_seconds = serializers.IntegerField(help_text="Whole seconds.")
    note = _text("The agent's note, or empty.")
    recording_url = _text("Where the recording is, or empty.")
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")


class FollowUpShape(Versioned):
    lead_id = _id("Whom to call.")
    due_at = _moment("When to call.")
    owner_id = _id("Who is to call.", null=True)
    note = _text("What for, or empty.")
    status = serializers.ChoiceField(
        choices=[status.value for status in FollowUpStatus], help_text="Overdue: open, and its time is over."
    )
    resolved_at = _moment("When it was done; null while it is not.", null=True)
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")


class NoteShape(Versioned):
    lead_id = _id("Whom it is about.")
    text = _text("The note.")
    author = AuthorShape(help_text="Who wrote it.")
    created_at = _moment("When it was created.")
    updated_at = _moment("When it last changed.")
