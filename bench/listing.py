"""How often a second `GET /public/leads?limit=50` is answered, beside a bare view with the same bytes."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.test import override_settings

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from bench import urls
from bench.timing import Figure, interleaved, ratios, seconds_each
from leads.models import Lead, LeadStatus, Tag

ROUNDS = 9
REQUESTS = 60  # a rival's in one round
LEADS = 5_000
KEY_NAME = "Bench of lists"


def some_leads() -> None:
    """A team's worth of leads; a third of them bear tags."""
    statuses = list(LeadStatus.objects.order_by("position"))
    tags = [Tag.objects.get_or_create(name=name)[0] for name in ("Hot", "Callback", "Premium")]
    Lead.objects.bulk_create(
        Lead(
            first_name="Asha",
            last_name="Verma",
            phone=f"+9177{number:08d}",
            email=f"asha{number}@example.com",
            status=statuses[number % len(statuses)],
            source="website",
        )
        for number in range(LEADS)
    )
    for lead in Lead.objects.order_by("-id")[: LEADS // 3]:
        lead.tags.set(tags[: lead.pk % 4])


def get(application: Any, path: str, query: str, token: str) -> bytes:
    """One request through the whole stack, as a server makes it."""
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }
    response = application(environ, lambda status, _headers: statuses.append(status))
    body = b"".join(response)
    response.close()
    assert statuses == ["200 OK"], (statuses, body[:500])
    return body


def measure() -> dict[str, Any]:
    """Requests a second of both, and how many bare ones the list costs."""
    some_leads()
    token = create_api_key(name=KEY_NAME, scopes=list(Scope), rate_limit=0).token
    with override_settings(ROOT_URLCONF="bench.urls"):
        application = get_wsgi_application()
        listing = partial(get, application, "/public/leads", "limit=50", token)
        bare = partial(get, application, "/bench/bare", "", token)
        urls.body = listing()
        rivals: dict[str, Callable[[], float]] = {
            "bare": partial(seconds_each, bare, REQUESTS),
            "listing": partial(seconds_each, listing, REQUESTS),
        }
        said = interleaved(rivals, rounds=ROUNDS)
    APIKey.objects.filter(name=KEY_NAME).delete()
    return {
        "leads": LEADS,
        "bytes": len(urls.body),
        "bare_requests_a_second": Figure.of([1 / value for value in said["bare"]]).as_dict(),
        "listing_requests_a_second": Figure.of([1 / value for value in said["listing"]]).as_dict(),
        "times_bare": ratios(said["listing"], said["bare"]).as_dict(),
    }
