"""Every address that Calliyo answers to."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from calliyo.health import healthz

urlpatterns = [
    path("", RedirectView.as_view(url="/settings?tab=api")),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
]
