"""Calliyo's addresses, and the bare view that the list is measured against."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from calliyo import urls

handler404 = urls.handler404
body = b""  # what the list answers, set before the view is measured


def bare(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(body, content_type="application/json")


urlpatterns = [*urls.urlpatterns, path("bench/bare", bare)]
