"""The API's requests pass by what serves pages; its page does not."""

import pytest
from django.test import Client

from tests.clients import public_client

FOR_PAGES = ("session", "_messages", "htmx")


def has_what_pages_need(answer):
    found = {hasattr(answer.wsgi_request, name) for name in FOR_PAGES}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("path", ["/public/me", "/public/leads", "/public/nothing", "/public/openapi.json"])
def test_an_answer_of_the_api_runs_nothing_and_knows_no_session(db, path):
    client = public_client("leads:read")
    for answer in (client.get(path), client.request("OPTIONS", path), client.request("DELETE", path)):
        assert not has_what_pages_need(answer)
        assert not answer.cookies
        assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Request-Id"]
    whole = client.get(path)
    assert int(whole["Content-Length"]) == len(whole.content)


@pytest.mark.parametrize("path", ["/public/docs", "/public/docs/", "/settings", "/nothing", "/publicity"])
def test_pages_have_all_that_they_need(db, path):
    answer = Client().get(path)
    assert has_what_pages_need(answer)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
