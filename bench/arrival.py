"""From the commit to the arrival at somebody else's server: worker and receiver are processes."""

import json
import statistics
import time
import urllib.request
from typing import Any

import requests

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from bench.backlog import payload
from bench.processes import process, workers
from leads.models import Lead, LeadStatus
from tests.servers import free_port
from webhooks.catalogue import EventType
from webhooks.operations import subscribe

SAVES = 300
PACE = 0.02  # seconds between two saves: a busy team, not a load test
PATIENCE = 60.0
KEY_NAME = "Bench of arrivals"


def arrivals(address: str) -> dict[str, float]:
    with urllib.request.urlopen(address, timeout=5) as response:  # noqa: S310 (our own receiver)
        answer: dict[str, float] = json.load(response)
        return answer


def wait_for(address: str, phones: set[str]) -> dict[str, float]:
    """When each arrived; raises when one has not within the patience."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            came = arrivals(address)
        except OSError:
            came = {}
        if phones <= came.keys():
            return came
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(phones - came.keys())} of {len(phones)} events never arrived.")
        time.sleep(0.1)


def save_leads(first: int, count: int, pace: float) -> dict[str, float]:
    """Creates leads one by one; the time at which each was committed, by phone."""
    status = LeadStatus.objects.order_by("position")[0]
    committed = {}
    for number in range(first, first + count):
        phone = f"+9188{number:08d}"
        Lead(first_name="Asha", phone=phone, status=status).save()
        committed[phone] = time.time()
        time.sleep(pace)
    return committed


def post_bodies(address: str, first: int) -> dict[str, float]:
    """The floor: bare POSTs of such bodies, one by one; the time at which each began, by phone."""
    began = {}
    with requests.Session() as session:
        for number in range(first, first + SAVES):
            body = payload(number).encode()
            phone = f"+9198{number:08d}"
            began[phone] = time.time()
            session.post(address, data=body, timeout=5).raise_for_status()
            time.sleep(PACE)
    return began


def milliseconds(began: dict[str, float], came: dict[str, float]) -> dict[str, float]:
    took = sorted((came[phone] - at) * 1000 for phone, at in began.items())
    cuts = statistics.quantiles(took, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "most": took[-1]}


def measure() -> dict[str, Any]:
    """Milliseconds from commit to arrival, at a busy team's pace."""
    address = f"http://127.0.0.1:{free_port()}/"
    minted = create_api_key(name=KEY_NAME, scopes=list(Scope))
    with process("bench.receiver", address.rpartition(":")[2].strip("/")), workers():
        wait_for(address, set())
        subscribe(api_key=minted.key, url=address, events=[EventType.LEAD_CREATED], secret="generate")  # noqa: S106
        wait_for(address, set(save_leads(0, 5, 0.1)))  # the worker is up, its connections are warm
        committed = save_leads(1000, SAVES, PACE)
        came = wait_for(address, set(committed))
        floor = post_bodies(address, 5000)
        came |= wait_for(address, set(floor))
    APIKey.objects.filter(name=KEY_NAME).delete()
    ms, bare = milliseconds(committed, came), milliseconds(floor, came)
    over = {name: ms[name] - bare[name] for name in ("p50", "p99")}
    return {"saves": SAVES, "ms": ms, "bare_post_ms": bare, "over_bare_post_ms": over}
