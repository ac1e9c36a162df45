"""What the commands for webhooks share."""

from calliyo.command import Refused
from calliyo.ids import BIGGEST_ID
from webhooks.models import Webhook


def named_webhook(number: int) -> Webhook:
    """The webhook with this number, its key loaded; a refusal when there is none."""
    webhooks = Webhook.objects.select_related("api_key")
    webhook = webhooks.filter(pk=number).first() if 0 <= number <= BIGGEST_ID else None
    if webhook is None:
        raise Refused(f"There is no webhook {number}.")
    return webhook
