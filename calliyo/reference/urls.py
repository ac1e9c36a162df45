"""The addresses of the API's description, below `/public/`."""

from django.urls import re_path

from calliyo.reference.page import docs
from calliyo.reference.views import openapi

urlpatterns = [
    re_path(r"^openapi\.json/?$", openapi, name="openapi"),
    re_path(r"^docs/?$", docs, name="docs"),
]
