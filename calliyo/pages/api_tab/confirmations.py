"""The small dialogs over the list: create, and the two that say what breaks before it breaks."""

import itertools
from collections.abc import Collection

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apikeys.models import APIKey
from apikeys.usage import calls_in_the_last_hour
from apikeys.validation import NAME_LENGTH
from calliyo.actor import ActorType
from calliyo.pages import form_numbers
from calliyo.pages.api_tab.config_form import limits_in_words
from calliyo.pages.api_tab.forms import KEEP, DeleteForm, DuplicateForm, KeyForm, RenameForm
from calliyo.pages.api_tab.page import Overlay
from calliyo.pages.api_tab.scope_table import ticks
from calliyo.pages.api_tab.starts import STARTS
from calliyo.pages.wording import sentences
from leads.models import User
from webhooks.models import Delivery, DeliveryState, Webhook

# Counting stops here: the size of a backlog matters, not its last digit.
COUNTED = 1000


def create_dialog(user: User, slug: str, form: KeyForm | None = None) -> Overlay:
    """Create API Key, empty, from a starting point, or with what was typed and refused."""
    start = STARTS.get(slug)
    if form is None:
        initial = {"name": start.name, "scopes": start.scopes} if start else None
        form = KeyForm(initial=initial)
    context = {
        "form": form,
        "form_number": form_numbers.issue(user),
        "start": start.slug if start else "",
        "suggested": ticks(start.scopes, form["scopes"].value() or ()) if start else [],
    }
    return Overlay(template="create.html", context=context)


def rename_dialog(key: APIKey, form: RenameForm | None = None) -> Overlay:
    """Rename: the name that the key has, or the one that was typed and refused."""
    form = form or RenameForm(initial={"name": key.name})
    return Overlay(template="rename.html", context={"key": key, "form": form})


def duplicate_dialog(user: User, key: APIKey, form: DuplicateForm | None = None) -> Overlay:
    """Duplicate: what the new key will be able to do, a free name for it, and whether webhooks come along."""
    webhooks = Webhook.objects.filter(api_key=key).count()
    if form is None:
        kept = key.expires_at if key.expires_at and not key.expired(timezone.now()) else None
        initial = {"name": _free_name(key.name), "expires": KEEP if kept else "", "webhooks": bool(webhooks)}
        form = DuplicateForm(initial=initial, kept=kept)
    context = {
        "key": key,
        "form": form,
        "form_number": form_numbers.issue(user),
        "sentences": sentences(key.scopes),
        "limits": limits_in_words(key),
        "webhooks": webhooks,
    }
    return Overlay(template="duplicate.html", context=context)


def regenerate_dialog(user: User, key: APIKey) -> Overlay:
    """Names what breaks: who used the old token last, how often in the last hour; and which webhooks it made itself."""
    webhooks = list(Webhook.objects.filter(api_key=key))
    context = {
        "key": key,
        "kept": [webhook for webhook in webhooks if not made_by_key(webhook)],
        "made_by_token": [webhook for webhook in webhooks if made_by_key(webhook)],
        "last_hour": calls_in_the_last_hour(key, timezone.now()),
        "form_number": form_numbers.issue(user),
    }
    return Overlay(template="regenerate.html", context=context)


def made_by_key(webhook: Webhook) -> bool:
    """Whether the key's own token made it, through the API: whoever had the token chose where its events go."""
    return webhook.created_by_type == ActorType.API_KEY and webhook.created_by_id == webhook.api_key_id


def delete_dialog(key: APIKey, form: DeleteForm | None = None) -> Overlay:
    """Names what goes with the key, and asks for its name."""
    webhooks = list(Webhook.objects.filter(api_key=key).values_list("pk", flat=True))
    waiting = waiting_in_words(webhooks)
    context = {"key": key, "form": form or DeleteForm(key=key), "webhooks": len(webhooks), "waiting": waiting}
    return Overlay(template="delete.html", context=context)


def waiting_in_words(webhooks: Collection[int]) -> str:
    """How many deliveries of these webhooks wait, and so go with them; nothing for none."""
    count = Delivery.objects.filter(webhook__in=webhooks, state=DeliveryState.WAITING)[: COUNTED + 1].count()
    if not count:
        return ""
    if count > COUNTED:
        return gettext("More than %(count)d deliveries wait and will not be sent.") % {"count": COUNTED}
    return ngettext(
        "%(count)d delivery waits and will not be sent.",
        "%(count)d deliveries wait and will not be sent.",
        count,
    ) % {"count": count}


def _free_name(name: str) -> str:
    """The name with the first number behind it that no key has: "Zoho production 2"."""
    taken = {each.lower() for each in APIKey.objects.values_list("name", flat=True)}
    for number in itertools.count(2):
        ending = f" {number}"
        free = f"{name[: NAME_LENGTH - len(ending)]}{ending}"
        if free.lower() not in taken:
            break
    return free
