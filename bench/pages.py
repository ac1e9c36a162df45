"""The Settings pages: the tab with 200 keys, what its first paint needs, and deliveries with a million rows behind."""

import gzip
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from bench.timing import Figure, interleaved, ratios, seconds_each
from leads.models import Role, User
from webhooks.models import Webhook
from webhooks.operations import subscribe

KEYS = 200
QUICK = "BENCH_QUICK" in os.environ
FEW, MANY = 1_000, 100_000 if QUICK else 1_000_000
ROUNDS = 9
REQUESTS = 20
TAB = "/settings?tab=api"
EVENTS = ["lead.created", "lead.updated", "call.completed", "note.added"]
_STATIC = re.compile(rb'(?:href|src)="(/static/[^"]+)"')
# As many rows of each kind on a page of a thousand as of a million: the newest wait, one in five has failed.
_DELIVERIES = """
    INSERT INTO webhooks_delivery (webhook_id, event_id, type, lead_id, cause, sequence, state, attempts, created_at,
        next_attempt_at, first_attempt_at, finished_at, last_status, last_error)
    SELECT {webhook}, n, CASE n % 3 WHEN 1 THEN 'note.added' ELSE 'lead.updated' END, 1 + n % 10, 'event', n,
        CASE WHEN n > {rows} - 60 THEN 'waiting' WHEN n % 5 = 3 THEN 'failed' ELSE 'delivered' END, 1, {now},
        CASE WHEN n > {rows} - 60 THEN {now} END, {now}, CASE WHEN n > {rows} - 60 THEN NULL ELSE {now} END, 200, ''
    FROM {numbers}
"""
_ATTEMPTS = """
    INSERT INTO webhooks_attempt (delivery_id, number, probe, started_at, request_headers, status, response_headers,
        response_body, error_code, error, total_ms)
    SELECT id, 1, {no}, {now}, '{{}}', 200, '{{}}', '', '', '', 84 FROM webhooks_delivery WHERE webhook_id = {webhook}
"""
_NUMBERS_OF_POSTGRESQL = "generate_series(1, {rows}) AS n"
_NUMBERS_OF_SQLITE = """
    (WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {rows})
    SELECT n FROM counted)
"""


def fill(webhook: Webhook, rows: int) -> None:
    """So many deliveries of a webhook with an attempt each, made by the database itself."""
    postgresql = connection.vendor == "postgresql"
    numbers = _NUMBERS_OF_POSTGRESQL if postgresql else _NUMBERS_OF_SQLITE
    words = {
        "webhook": webhook.pk,
        "now": "now()" if postgresql else "datetime('now')",
        "no": "false" if postgresql else "0",
        "numbers": numbers.format(rows=rows),
        "rows": rows,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DELIVERIES.format(**words))
        cursor.execute(_ATTEMPTS.format(**words))


def analyzed() -> None:
    """As autovacuum does it within minutes."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE webhooks_delivery" if connection.vendor == "postgresql" else "ANALYZE")


def admin_client() -> Client:
    user = User.objects.create_user("bench", "bench@example.com", "a word", role=Role.COMPANY_ADMIN)
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str) -> bytes:
    response = client.get(address, headers={"Accept-Encoding": "gzip", "Host": "127.0.0.1"})
    assert response.status_code == 200, (address, response.status_code)
    return bytes(response.content)


def first_paint(client: Client, address: str) -> dict[str, int]:
    """The bytes over the wire that the page and what it links need, each file once."""
    body = page(client, address)
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    files = dict.fromkeys(match.decode() for match in _STATIC.findall(plain))
    sizes = {"page": len(body)}
    for url in files:
        path = Path(staticfiles_storage.path(url.removeprefix(settings.STATIC_URL)))
        compressed = path.with_name(f"{path.name}.gz")
        sizes[path.name] = (compressed if compressed.exists() else path).stat().st_size
    return sizes


def addresses(webhook: Webhook) -> dict[str, str]:
    """The list, and what people look for in it."""
    base = f"{TAB}&key={webhook.api_key_id}&panel=webhooks&webhook={webhook.pk}&do=deliveries"
    return {
        "newest": base,
        "failed": f"{base}&outcome=failed",
        "failed notes": f"{base}&outcome=failed&event=note.added",
        "waiting": f"{base}&outcome=waiting",
        "cancelled (none)": f"{base}&outcome=cancelled",
        "of a lead": f"{base}&lead=7",
    }


def counted(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        page(client, address)
    return len(queries)


def measure() -> dict[str, Any]:
    """The tab's time, queries and bytes; the deliveries' time over many rows as a multiple of that over few."""
    client = admin_client()
    keys = [create_api_key(name=f"System {number}", scopes=list(Scope)).key for number in range(KEYS)]
    hooks = [
        subscribe(api_key=key, url=f"https://system{number}.example/hook", events=EVENTS)
        for number, key in enumerate(keys)
    ]
    few, many = hooks[0], hooks[1]
    fill(few, FEW)
    fill(many, MANY)
    analyzed()
    page(client, TAB)
    tab = interleaved({"tab": partial(seconds_each, partial(page, client, TAB), REQUESTS)}, rounds=ROUNDS)
    return {
        "keys": APIKey.objects.count(),
        "queries": counted(client, TAB),
        "tab_ms": Figure.of([1000 * value for value in tab["tab"]]).as_dict(),
        "first paint": first_paint(client, TAB),
        "first paint with webhooks open": first_paint(client, addresses(hooks[2])["newest"]),
        "rows": {"few": FEW, "many": MANY},
        "deliveries": {
            name: times_few(client, address, addresses(many)[name])
            for name, address in addresses(few).items()
        },
    }


def times_few(client: Client, few: str, many: str) -> dict[str, Any]:
    rivals: dict[str, Callable[[], float]] = {
        "few": partial(seconds_each, partial(page, client, few), REQUESTS),
        "many": partial(seconds_each, partial(page, client, many), REQUESTS),
    }
    said = interleaved(rivals, rounds=ROUNDS)
    return {
        "queries": counted(client, many),
        "few_ms": Figure.of([1000 * value for value in said["few"]]).as_dict(),
        "many_ms": Figure.of([1000 * value for value in said["many"]]).as_dict(),
        "times_few": ratios(said["many"], said["few"]).as_dict(),
    }
