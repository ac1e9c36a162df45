"""Mails to company admins when a webhook was turned off because of its endpoint.

The notice is owed in the database from the transaction that turned it off, and sent outside any: who dies in between
leaves it owed.
"""

import logging
import threading
from datetime import timedelta
from smtplib import SMTPException
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.utils.translation import gettext

from calliyo.models import Company
from leads.models import User
from leads.models.user import Role
from webhooks.delivery.clock import database_now
from webhooks.models import Delivery, DeliveryState, EndpointState, OffReason, Webhook

logger = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)
"""So long one sender has; then the notice is owed again."""


def tell_in_background() -> None:
    """Sends what is owed from a thread: a mail server that hangs holds no delivery back."""
    threading.Thread(target=_tell_and_close, name="calliyo-notices", daemon=True).start()


def send_owed() -> int:
    """Sends the notices that are owed; says how many. What can't be sent stays owed."""
    now = database_now()
    owed = EndpointState.objects.filter(notice_due_at__lte=now)
    sent = 0
    for webhook_id in list(owed.values_list("pk", flat=True)):
        mine = EndpointState.objects.filter(pk=webhook_id, notice_due_at__lte=now)
        if not mine.update(notice_due_at=now + PATIENCE):
            continue
        webhook = Webhook.objects.select_related("api_key").filter(pk=webhook_id, active=False).first()
        if webhook is not None:
            try:
                _send(webhook)
            except (OSError, SMTPException):
                logger.exception("The notice that webhook %s is off could not be sent yet", webhook_id)
                continue
            sent += 1
        EndpointState.objects.filter(pk=webhook_id).update(notice_due_at=None)
    return sent


def _tell_and_close() -> None:
    try:
        send_owed()
    except Exception:
        logger.exception("Notices could not be sent; they stay owed")
    finally:
        connection.close()


def _send(webhook: Webhook) -> None:
    admins = User.objects.filter(role=Role.COMPANY_ADMIN, is_active=True).exclude(email="")
    addresses = list(admins.order_by("pk").values_list("email", flat=True))
    if not addresses:
        logger.warning("No company admin has an address: nobody is told that webhook %s is off", webhook.pk)
        return
    host = urlsplit(webhook.url).hostname or ""
    subject = gettext("Webhook turned off: {host}").format(host=host)
    EmailMessage(subject=subject, body=_text(webhook, host), to=addresses).send()


def _text(webhook: Webhook, host: str) -> str:
    # The host alone: the rest of a URL is often a credential.
    why = (
        gettext("its endpoint answered 410: it wants no more events")
        if webhook.off_reason == OffReason.GONE
        else gettext("its endpoint answered nothing well for five days")
    )
    missed = Delivery.objects.filter(webhook=webhook, state=DeliveryState.MISSED, finished_at=webhook.off_at)
    off_at = f"{webhook.off_at:%Y-%m-%d %H:%M} UTC" if webhook.off_at else ""
    lines = [
        gettext("Calliyo turned a webhook of {company} off at {time}: {why}.").format(
            company=Company.current().name, time=off_at, why=why
        ),
        "",
        gettext("API key: {key}").format(key=webhook.api_key.name),
        gettext("Endpoint: {host}").format(host=host),
        gettext("Deliveries that were waiting: {count}").format(count=missed.count()),
        "",
        gettext(
            "New events are not queued for it. When the endpoint works again, turn the webhook on; what it"
        ),
        gettext("missed can then be sent."),
        "",
        f"{settings.BASE_URL}/settings?tab=api",
    ]
    return "\n".join(lines)
