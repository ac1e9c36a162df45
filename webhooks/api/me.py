"""`/public/me`: what a key can learn of itself."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.callers import caller_of
from apikeys.models import APIKey
from apikeys.permissions import ANY_KEY
from apikeys.throttling import DEFAULT_RATE, WINDOW_SECONDS, Limit
from calliyo.api.described import described
from calliyo.api.parameters import check_parameters
from calliyo.api.views import ApiView
from leads.pictures import moment
from webhooks.api.me_shapes import MeShape
from webhooks.models import Webhook


class MeView(ApiView):
    """The key's name, scopes, webhooks and limits; no scope is needed, as it tells of the caller alone."""

    resource = ANY_KEY

    @described(name="get_me", summary="What this key is", answers={200: MeShape})
    def get(self, request: Request) -> Response:
        """The key's name, scopes, webhooks and limits."""
        check_parameters(request.query_params, known=())
        key = caller_of(request).key
        return Response(
            {
                "id": key.pk,
                "name": key.name,
                "prefix": key.prefix,
                "scopes": key.scopes,
                "manage_webhooks": key.manage_webhooks,
                "created_at": moment(key.created_at),
                "expires_at": moment(key.expires_at),
                "limits": _limits(key),
                "webhooks": [_short(webhook) for webhook in key.webhooks.all()],
            }
        )


def _limits(key: APIKey) -> dict[str, Any]:
    rate = DEFAULT_RATE if key.rate_limit is None else key.rate_limit
    return {
        "requests": rate or None,
        "window_seconds": WINDOW_SECONDS if rate else None,
        "burst": Limit(rate=rate).burst if rate else None,
        "allowed_addresses": key.allowed_addresses,
        "allowed_origins": key.allowed_origins,
    }


def _short(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "url": webhook.url,
        "events": webhook.events,
        "active": webhook.active,
        "has_secret": bool(webhook.secret),
    }
