"""The webhooks of one key made again for another, when a key is duplicated."""

from apikeys.models import APIKey
from calliyo.unit_of_work import unit_of_work
from webhooks.catalogue import needed_scope
from webhooks.models import Webhook
from webhooks.operations import subscribe


@unit_of_work
def copy_webhooks(*, source: APIKey, target: APIKey) -> list[Webhook]:
    """Each webhook of `source` for `target`, with the same secret and headers, turned off: no receiver is told twice.

    Events that `target` may not hear of are left out, and so is a webhook that has no others.
    """
    copies = []
    for webhook in Webhook.objects.filter(api_key=source):
        events = [event for event in webhook.events if needed_scope(event) in target.scopes]
        if events:
            copies.append(_copy(webhook, events, target))
    return copies


def _copy(webhook: Webhook, events: list[str], target: APIKey) -> Webhook:
    copy = subscribe(
        api_key=target,
        url=webhook.url,
        events=events,
        ordering=webhook.ordering,
        skip_own=webhook.skip_own,
        rate_limit=webhook.rate_limit,
        active=False,
    )
    # As they are stored: what is encrypted need not be opened to be copied.
    copy.secret, copy.headers = webhook.secret, webhook.headers
    copy.save(update_fields=["secret", "headers"])
    return copy
