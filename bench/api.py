"""The public API over HTTP with a million leads: a page beside its rivals, a deep page, a stream, silence.

What "a bare Django view that returns the same bytes" is. Issue 5 says that REST framework's `ModelSerializer` list does
0.06 to 0.1 of it. Of a view that returns the bytes as a constant, under the same middleware, from the same web
process and over a kept-alive connection, the flat baseline (one table's columns) does 0.07, and the one that shows
what Calliyo's list shows (the status's name, the tags) 0.045. Called in process, without a server, the shares are
0.03 and 0.02; of a view that reads its rows by one hand-written statement, 0.28 and 0.15. So the constant view over
HTTP is meant, and it is the strictest of those that come near. All four are printed.

What token, scope and limit take is the list's time less that of the same view without them, which is asked at an
address of its own under the same middleware, reads its page ahead and is counted as any call: whatever else the two do
is alike.

Of one caller's requests, one thread of the web process answers each or two take turns: which it will be is decided when
the process starts, by chance. With one thread the constant view gains more than the list: its share is 0.30 then, and
0.34 with two. So the rounds are spread over several starts, and all of them count.

Times are those of one caller after another: what is waited for counts, as does what is computed.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import connection
from django.http import QueryDict

from apikeys.models import APIKey
from apikeys.operations import MintedKey, create_api_key
from apikeys.scopes import Scope
from bench.baseline.models import PlainToken, make_tables
from bench.crowd import gather, without_words_indexes
from bench.processes import memory_of
from bench.timing import Figure, interleaved, ratios, seconds_each
from bench.urls import BODY_KEPT_IN
from bench.web import Client, web
from calliyo.api.pagination import Cursor, Ordering, binding
from leads.models import Lead, User

QUICK: Final = "BENCH_QUICK" in os.environ
LEADS: Final = 100_000 if QUICK else 1_000_000
ROUNDS: Final = 15 if QUICK else 60
STARTS: Final = 3 if QUICK else 6  # of the web process
REQUESTS: Final = 10  # a rival's in one round: short turns, so that a busy machine is as busy for all
PAGE: Final = 50
DEEP: Final = 10_000 if LEADS > 10_000 * PAGE else 1_000
LIST: Final = "/public/leads"
PATHS: Final = {
    "a constant": "/public/bench/bare",
    "one statement by hand": "/public/bench/sql",
    "ModelSerializer, flat": "/public/bench/flat",
    "ModelSerializer": "/public/bench/rest",
    "without token, scope, limit": f"/public/bench/open?limit={PAGE}",
    "the list": f"{LIST}?limit={PAGE}",
}
_numbers = count(1)


def measure() -> dict[str, Any]:
    make_tables()
    began = time.perf_counter()
    with without_words_indexes():
        gather(LEADS)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as autovacuum leaves a database that runs
    filled_in = time.perf_counter() - began
    # A limit that is counted and never reached.
    key = create_api_key(name="Bench", scopes=list(Scope), rate_limit=1_000_000)
    form = create_api_key(name="Bench form", scopes=[Scope.LEADS_WRITE], rate_limit=0)
    PlainToken.objects.create(key=key.token, user=User.objects.earliest("pk"))
    # First: the others write.
    results: dict[str, Any] = {"leads": LEADS, "filled_in": filled_in, "page": page(key)}
    with web() as (pid, port):
        results |= {"deep": deep_page(port, key), "stream": stream(pid, port, key)}
        results["silence"] = silence(port, form)
    APIKey.objects.all().delete()
    return results


def page(key: MintedKey) -> dict[str, Any]:
    """The list and its rivals; how much of the list's time token, scope and limit take."""
    said: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(STARTS):
        with web() as (_, port), Client(port, key.token) as client:
            kept = client.get(PATHS["the list"])
            Path(settings.DATA_DIR, BODY_KEPT_IN).write_bytes(kept)
            rivals: dict[str, Callable[[], float]] = {
                name: partial(seconds_each, partial(client.get, path), REQUESTS)
                for name, path in PATHS.items()
            }
            for name, values in interleaved(rivals, rounds=ROUNDS // STARTS).items():
                said[name] += values
    mine, constant = said["the list"], said["a constant"]
    return {
        "bytes": len(kept),
        "rivals": {
            name: {
                "ms": Figure.of([1000 * value for value in values]).as_dict(),
                "of_constant": ratios(constant, values).as_dict(),
                "list_times": ratios(values, mine).as_dict(),
            }
            for name, values in said.items()
        },
        "access_share": Figure.of(
            [
                1 - open_ / value
                for value, open_ in zip(mine, said["without token, scope, limit"], strict=True)
            ]
        ).as_dict(),
    }


def deep_page(port: int, key: MintedKey) -> dict[str, Any]:
    """What a page far behind the first costs, by its time."""
    ordering = Ordering.named("-id")
    row = Lead.objects.order_by("-id").values_list("pk", flat=True)[(DEEP - 1) * PAGE]
    with Client(port, key.token) as client:
        first = partial(client.get, f"{LIST}?limit={PAGE}")
        as_of = orjson.loads(first())["as_of"]
        cursor = Cursor(position=(row,), as_of=as_of).signed(binding("leads", QueryDict(), ordering))
        deep = partial(client.get, f"{LIST}?limit={PAGE}&cursor={cursor}")
        assert len(orjson.loads(deep())["results"]) == PAGE
        rivals: dict[str, Callable[[], float]] = {
            "first": partial(seconds_each, first, REQUESTS),
            "deep": partial(seconds_each, deep, REQUESTS),
        }
        said = interleaved(rivals, rounds=ROUNDS)
    return {"page": DEEP, "times_first": ratios(said["deep"], said["first"]).as_dict()}


def stream(pid: int, port: int, key: MintedKey) -> dict[str, Any]:
    """All leads as NDJSON: rows a second, and what the web process holds in memory before, at most, and after."""
    before = most = memory_of(pid)
    rows, look_at = 0, 0.0
    began = time.perf_counter()
    with Client(port, key.token) as client:
        for piece in client.stream(LIST, "application/x-ndjson"):
            rows += piece.count(b'"converted_at":')
            if time.perf_counter() > look_at:
                most, look_at = max(most, memory_of(pid)), time.perf_counter() + 0.25
    taken = time.perf_counter() - began
    assert rows > 0.99 * LEADS, rows  # a few are cut by the edges of the pieces
    return {"rows_a_second": rows / taken, "memory_mb": [before, most, memory_of(pid)]}


def silence(port: int, form: MintedKey) -> dict[str, Any]:
    """How long a key that may only write waits for its answer, for a number that is known and for a new one."""
    known = Lead.objects.order_by("-id").values_list("phone", flat=True)[:1].get()
    with Client(port, form.token) as client:

        def post(phone: str) -> None:
            lead = {"first_name": "Asha", "last_name": "Verma", "phone": phone, "source": "website"}
            client.post(LIST, orjson.dumps(lead))

        rivals: dict[str, Callable[[], float]] = {
            "new": partial(seconds_each, lambda: post(f"+9176{next(_numbers):08d}"), REQUESTS),
            "known": partial(seconds_each, lambda: post(known), REQUESTS),
        }
        said = interleaved(rivals, rounds=ROUNDS)
    return {
        **{name: Figure.of([1000 * value for value in values]).as_dict() for name, values in said.items()},
        "known_times_new": ratios(said["known"], said["new"]).as_dict(),
    }
