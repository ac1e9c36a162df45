"""`/public/webhooks`: REST hooks, the subscriptions that a key makes for itself, sees, changes and ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from django.db.models import BigIntegerField, QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.callers import Caller, caller_of
from apikeys.permissions import ANY_KEY, HasScope, MayManageWebhooks, refused
from apikeys.scopes import Scope
from calliyo.actor import ActorType
from calliyo.api.asked import Rows
from calliyo.api.described import described
from calliyo.api.filters import FlagFilter, StrictFilterSet, TextFilter
from calliyo.api.inputs import Read, read_input
from calliyo.api.lists import Pictures
from calliyo.api.parameters import check_parameters
from calliyo.api.problems import FieldError
from calliyo.api.views import ResourceViewSet, id_in_path
from calliyo.statements import Parameter
from leads.api.base import DeletedFilters, DeletedList
from leads.api.filters import WordsFilter
from leads.api.shapes import DeletedShape
from leads.api.writing import ignored
from webhooks import secrets
from webhooks.api.inputs import WebhookChangesInput, WebhookInput
from webhooks.api.shapes import (
    WEBHOOK_COLUMNS,
    WebhookShape,
    WebhookWithSecretShape,
    webhook_picture,
)
from webhooks.delivery.urls import InvalidUrl
from webhooks.models import Webhook
from webhooks.operations import (
    DEFAULT_OVERLAP,
    change_webhook,
    delete_webhook,
    deletions_of,
    rotate_secret,
    subscribe,
)
from webhooks.secrets import InvalidSecret, UndecryptableSecret
from webhooks.validation import GENERATE, InvalidSubscription, MissingEventScope

OWNER: Final = "owner"  # the parameter of statements that stands for the calling key's id
OWN_WEBHOOKS: Final = (HasScope, MayManageWebhooks)


class WebhookFilters(StrictFilterSet):
    active = FlagFilter("active")
    url = TextFilter("url", max_length=2000)
    search = WordsFilter("url")


class WebhookViewSet(ResourceViewSet):
    """Another key's webhooks, and those that staff made, answer as if they were not there."""

    resource = ANY_KEY
    permission_classes = OWN_WEBHOOKS
    answers_hold_secrets = True
    model = Webhook
    columns = WEBHOOK_COLUMNS
    shape = WebhookShape
    filters = WebhookFilters
    input = WebhookInput
    changes_input = WebhookChangesInput
    refusals = (MissingEventScope, InvalidSubscription, InvalidUrl, InvalidSecret, UndecryptableSecret)

    @classmethod
    def rows(cls) -> "QuerySet[Any, Any]":
        """Those of the key that asks."""
        return webhooks_made_by(Parameter(OWNER, BigIntegerField()))

    @classmethod
    def columns_read(cls) -> tuple[Any, ...]:
        """With the endpoint's health."""
        return (*cls.columns, "state__health")

    def rows_of_caller(self) -> "QuerySet[Any, Any]":
        return webhooks_made_by(self.caller.key.pk)

    def parameters(self) -> dict[str, Any]:
        """Who asks."""
        return {OWNER: self.caller.key.pk}

    @property
    def caller(self) -> Caller:
        return caller_of(self.request)

    def list_name(self) -> str:
        return "webhooks"

    def pictures(self, rows: Rows) -> Pictures:
        return [webhook_picture(row[:-1], row[-1]) for row in rows]

    @described(parameters=DeletedFilters.fields(), answers={200: DeletedShape})
    def list(self, request: Request) -> HttpResponseBase:
        """The key's own webhooks; with `deleted_after`, those that are gone."""
        if "deleted_after" in request.query_params:
            return DeletedList(request, deletions_of(self.caller.key.pk)).list(request)
        return super().list(request)

    @described(answers={201: WebhookWithSecretShape})
    def create(self, request: Request) -> HttpResponse:
        """Subscribes the key: 201, with the secret if it was generated."""
        check_parameters(request.query_params, known=())
        read = read_input(request, self.input)
        with naming_the_scope():
            webhook = subscribe(api_key=self.caller.key, **read.values)
        answer = self._told(webhook, read, status=201)
        answer["Location"] = f"/public/webhooks/{webhook.pk}"
        return answer

    @described(answers={200: WebhookWithSecretShape})
    def partial_update(self, request: Request, pk: str) -> HttpResponse:
        """Writes the fields that the body names and no other; a new secret after another one overlaps with it."""
        check_parameters(request.query_params, known=())
        self.check_if_match(id_in_path(pk))
        webhook = own_webhook(self.caller, pk)
        read = read_input(request, self.changes_input, partial=True)
        with naming_the_scope():
            webhook = _changed(webhook, dict(read.values))
        return self._told(webhook, read, status=200)

    def destroy(self, request: Request, pk: str) -> Response:
        """Unsubscribes: nothing is sent from now on."""
        check_parameters(request.query_params, known=())
        self.check_if_match(id_in_path(pk))
        delete_webhook(webhook=own_webhook(self.caller, pk))
        return Response(status=204)

    def _told(self, webhook: Webhook, read: Read, *, status: int) -> HttpResponse:
        picture = self.picture_of(webhook.pk) | ignored(read)
        if read.values.get("secret") == GENERATE:
            picture["secret"] = secrets.decrypt(webhook.secret)
        return self.object_answer(picture, status=status)


def webhooks_made_by(key_id: "int | Parameter") -> QuerySet[Webhook]:
    """The webhooks that a key made for itself; not those that staff made for it."""
    return Webhook.objects.filter(
        api_key_id=key_id, created_by_type=ActorType.API_KEY.value, created_by_id=key_id
    )


def own_webhook(caller: Caller, pk: str) -> Webhook:
    """The webhook with this id, if the caller made it; a 404 otherwise."""
    webhook = webhooks_made_by(caller.key.pk).select_related("api_key").filter(pk=id_in_path(pk)).first()
    if webhook is None:
        raise Http404
    return webhook


@contextmanager
def naming_the_scope() -> Iterator[None]:
    """The 403 of an event that the key may not hear of, as of any other scope that it lacks."""
    try:
        yield
    except MissingEventScope as error:
        told = FieldError(field=error.field, code=error.code, detail=error.detail)
        raise refused(error.detail, Scope(str(error.extra["scope"])), errors=(told,)) from error


def _changed(webhook: Webhook, values: dict[str, Any]) -> Webhook:
    overlap = DEFAULT_OVERLAP
    if "secret_overlap_seconds" in values:
        overlap = timedelta(seconds=values.pop("secret_overlap_seconds"))
    if values.get("secret") and webhook.secret:
        webhook = rotate_secret(webhook=webhook, secret=values.pop("secret"), overlap=overlap)
    return change_webhook(webhook=webhook, **values) if values else webhook
