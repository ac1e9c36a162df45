"""How many leads a second `POST /public/leads/batch` of 200 takes in, beside 200 single posts."""

import io
import itertools
import json
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from django.core.wsgi import get_wsgi_application

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from bench.timing import Figure, interleaved, ratios

ROUNDS = 7
LEADS = 200
KEY_NAME = "Bench of batches"
_numbers = itertools.count(1)


def new_lead() -> dict[str, str]:
    """As a sync sends one."""
    number = next(_numbers)
    return {
        "first_name": "Asha",
        "last_name": "Verma",
        "phone": f"+9176{number:08d}",
        "email": f"asha{number}@example.com",
        "source": "website",
    }


def post(application: Any, token: str, path: str, data: Any) -> Any:
    """One request through the whole stack, as a server makes it; what is answered."""
    body, statuses = json.dumps(data).encode(), list[str]()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    }
    response = application(environ, lambda status, _headers: statuses.append(status))
    content = b"".join(response)
    response.close()
    assert statuses[0] in {"200 OK", "201 Created"}, (statuses, content[:500])
    return json.loads(content)


def singly(application: Any, token: str) -> float:
    """The seconds that 200 single posts take."""
    leads = [new_lead() for _ in range(LEADS)]
    began = perf_counter()
    for lead in leads:
        post(application, token, "/public/leads", lead)
    return perf_counter() - began


def together(application: Any, token: str) -> float:
    """The seconds that one batch of 200 takes."""
    leads = [new_lead() for _ in range(LEADS)]
    began = perf_counter()
    answer = post(application, token, "/public/leads/batch", {"leads": leads})
    taken = perf_counter() - began
    assert all(result["status"] == 201 for result in answer["results"]), answer
    return taken


def measure() -> dict[str, Any]:
    """Leads a second of both, and how many times the single posts' the batch's are."""
    token = create_api_key(name=KEY_NAME, scopes=list(Scope), rate_limit=0).token
    application = get_wsgi_application()
    rivals: dict[str, Callable[[], float]] = {
        "singly": partial(singly, application, token),
        "together": partial(together, application, token),
    }
    said = interleaved(rivals, rounds=ROUNDS)
    APIKey.objects.filter(name=KEY_NAME).delete()
    return {
        "leads": LEADS,
        "single_leads_a_second": Figure.of([LEADS / value for value in said["singly"]]).as_dict(),
        "batch_leads_a_second": Figure.of([LEADS / value for value in said["together"]]).as_dict(),
        "times_single": ratios(said["singly"], said["together"]).as_dict(),
    }
