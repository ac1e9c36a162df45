"""The addresses of events and of the key itself, below `/public/`."""

from django.urls import re_path

from webhooks.api.events import EventsView, EventView
from webhooks.api.me import MeView

urlpatterns = [
    re_path(r"^me/?$", MeView.as_view(), name="me"),
    re_path(r"^events/?$", EventsView.as_view(), name="events"),
    re_path(r"^events/(?P<pk>[^/]+)/?$", EventView.as_view(), name="event"),
]
