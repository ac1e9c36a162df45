"""The Webhooks panel of the drawer: a card a webhook, and what is open on one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import F
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext

from apikeys.models import APIKey
from calliyo.ids import read_id
from calliyo.pages import form_numbers
from calliyo.pages.access import AdminRequest
from calliyo.pages.api_tab.confirmations import waiting_in_words
from calliyo.pages.api_tab.day import Day, days_of
from calliyo.pages.api_tab.delivery_words import span_words
from calliyo.pages.api_tab.drawer import drawer
from calliyo.pages.api_tab.exchange import Exchange
from calliyo.pages.api_tab.health import State, events_without_scope, webhook_state
from calliyo.pages.api_tab.page import Overlay
from calliyo.pages.api_tab.webhook_form import ORDERINGS, WebhookForm
from calliyo.pages.api_tab.webhook_headers import header_names
from calliyo.pages.viewer import in_viewers_zone
from webhooks import replay
from webhooks.models import Ordering, Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """What is open on the panel. `webhook_id` None with a form: a webhook is being added."""

    webhook_id: int | None = None
    form: WebhookForm | None = None
    secret: str = field(default="", repr=False)
    exchange: Exchange | None = None
    asks_to_delete: bool = False
    missed: int = 0
    """How many events happened while it was off and can be sent now."""
    notice: str = ""
    told: Sequence[str] = ()
    """What somebody else changed meanwhile, a sentence each."""

    @property
    def missed_shown(self) -> str:
        """The number as people read it: 1,204."""
        return f"{self.missed:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One event of a webhook; `idle` when the key lacks its scope, so that it is not sent."""

    event: str
    idle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One webhook, as people see it. `open` is what is open on this one."""

    webhook: Webhook
    state: State
    chips: list[Chip]
    facts: list[str]
    open: Open
    day: Day
    waiting: str = ""


def panel_from_address(query: QueryDict, key: APIKey) -> Open | None:
    """What the address opens on the panel: `webhook=new`, or `webhook=12` to edit; `do=delete`, `do=missed`."""
    if query.get("webhook") == "new":
        return Open(form=WebhookForm(key=key))
    webhook = Webhook.objects.filter(pk=read_id(query.get("webhook", "")) or 0, api_key=key).first()
    if webhook is None:
        return None
    if query.get("do") == "delete":
        return Open(webhook_id=webhook.pk, asks_to_delete=True)
    if query.get("do") == "missed":
        missed = replay.count(replay.missed(webhook)).events if webhook.active else 0
        return Open(webhook_id=webhook.pk, missed=missed)
    return Open(webhook_id=webhook.pk, form=WebhookForm(key=key, webhook=webhook))


def webhooks_panel(request: AdminRequest, key: APIKey, now_open: Open | None = None) -> Overlay:
    """Webhooks: all of the key's, with `now_open` open on one of them or below them."""
    now_open = now_open or Open()
    webhooks = list(Webhook.objects.filter(api_key=key).annotate(health=F("state__health")))
    with in_viewers_zone(request):
        days = days_of([webhook.pk for webhook in webhooks], timezone.now())
    cards = [_card(webhook, key, now_open, days[webhook.pk]) for webhook in webhooks]
    adding = now_open.form if now_open.webhook_id is None else None
    context: dict[str, object] = {
        "cards": cards,
        "adding": adding,
        "notice": now_open.notice,
        "told": now_open.told,
    }
    if now_open.form:
        context |= {"form": now_open.form, "form_number": form_numbers.issue(request.user)}
        context["editing"] = now_open.webhook_id
    if now_open.secret or now_open.exchange:
        context["once"] = True  # the answer to a post that a reload must not send again
    return drawer(key, "webhooks", **context)


def _card(webhook: Webhook, key: APIKey, now_open: Open, day: Day) -> Card:
    mine = now_open if now_open.webhook_id == webhook.pk else Open()
    idle = events_without_scope(webhook.events, key.scopes)
    return Card(
        webhook=webhook,
        state=webhook_state(webhook, key, webhook.health, timezone.now()),  # type: ignore[attr-defined]  # annotated
        day=day,
        chips=[Chip(event=event, idle=event in idle) for event in webhook.events],
        facts=_facts(webhook),
        open=mine,
        waiting=waiting_in_words([webhook.pk]) if mine.asks_to_delete else "",
    )


def _facts(webhook: Webhook) -> list[str]:
    signed = gettext("Signed with its secret") if webhook.secret else gettext("Not signed: it has no secret")
    facts = [signed]
    now = timezone.now()
    if webhook.previous_secret_until is not None and webhook.previous_secret_until > now:
        left = span_words(webhook.previous_secret_until - now)
        facts.append(gettext("the secret before signs too for %(time)s") % {"time": left})
    facts.append(str(dict(ORDERINGS)[Ordering(webhook.ordering)]).lower())
    if webhook.rate_limit is not None:
        facts.append(gettext("at most %(count)s a minute") % {"count": f"{webhook.rate_limit:,}"})
    if names := header_names(webhook):
        facts.append(gettext("sends %(headers)s along") % {"headers": ", ".join(names)})
    if webhook.skip_own:
        facts.append(gettext("skips the changes of its own key"))
    return facts
