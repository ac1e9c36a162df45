"""The addresses of events, webhooks and the key itself, below `/public/`."""

from django.urls import re_path

from calliyo.api.views import PublicRouter
from webhooks.api.actions import WebhookReplayView, WebhookTestView
from webhooks.api.deliveries import DeliveryViewSet
from webhooks.api.events import EventsView, EventView
from webhooks.api.me import MeView
from webhooks.api.webhooks import WebhookViewSet

router = PublicRouter()
router.register("webhooks", WebhookViewSet, basename="webhooks")
_OF_A_WEBHOOK = r"^webhooks/(?P<pk>[^/]+)"

urlpatterns = [
    re_path(r"^me/?$", MeView.as_view(), name="me"),
    re_path(r"^events/?$", EventsView.as_view(), name="events"),
    re_path(r"^events/(?P<pk>[^/]+)/?$", EventView.as_view(), name="event"),
    *router.urls,
    re_path(rf"{_OF_A_WEBHOOK}/deliveries/?$", DeliveryViewSet.as_view({"get": "list"}), name="deliveries"),
    re_path(rf"{_OF_A_WEBHOOK}/test/?$", WebhookTestView.as_view(), name="webhook-test"),
    re_path(rf"{_OF_A_WEBHOOK}/replay/?$", WebhookReplayView.as_view(), name="webhook-replay"),
]
