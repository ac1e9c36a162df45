"""Every address that Calliyo answers to."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from apikeys.elsewhere import ElsewhereView
from calliyo.health import healthz
from calliyo.pages.login_form import LoginForm
from webhooks.metrics import metrics

handler400 = "calliyo.api.problems.handler400"
handler403 = "calliyo.api.problems.handler403"
handler404 = "calliyo.api.problems.handler404"
handler500 = "calliyo.api.problems.handler500"

admin.site.login_form = LoginForm

urlpatterns = [
    path("", RedirectView.as_view(url="/settings?tab=api")),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("public/", include("leads.api.urls")),
    path("public/", include("webhooks.api.urls")),
    path("public/", include("calliyo.reference.urls")),
    re_path(r"^public(?![^/])", ElsewhereView.as_view()),
    path("", include("calliyo.pages.urls")),
]
