"""From the commit to the arrival at somebody else's server: worker and receiver are processes.

At idle: one save at a time, with a pause in which all that it caused has ended. Between two saves goes a bare POST to
the same receiver: the floor, at the same moments of a machine that others use as well.
"""

import json
import os
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

SAVES = 100 if "BENCH_QUICK" in os.environ else 300
PAUSE = 0.1  # seconds behind each save and each bare POST
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
        came: dict[str, float] | None
        try:
            came = arrivals(address)
        except OSError:
            came = None  # it does not listen yet
        if came is not None and phones <= came.keys():
            return came
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(phones - (came or {}).keys())} of {len(phones)} events never arrived.")
        time.sleep(0.1)


def save_lead(status: LeadStatus, number: int) -> tuple[str, float]:
    """Creates a lead; its phone, and the time at which it was committed."""
    phone = f"+9188{number:08d}"
    Lead(first_name="Asha", phone=phone, status=status).save()
    return phone, time.time()


def post_body(session: requests.Session, address: str, number: int) -> tuple[str, float]:
    """A bare POST of such a body; its phone, and the time at which it began."""
    phone = f"+9198{number:08d}"
    body = payload(number).encode()
    began = time.time()
    session.post(address, data=body, timeout=5).raise_for_status()
    return phone, began


def milliseconds(began: dict[str, float], came: dict[str, float]) -> dict[str, float]:
    took = sorted((came[phone] - at) * 1000 for phone, at in began.items())
    cuts = statistics.quantiles(took, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "most": took[-1]}


def in_turn(address: str, first: int, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """So many saves and bare POSTs, in turn: when each was committed, or began, by phone."""
    status = LeadStatus.objects.order_by("position")[0]
    committed, began = {}, {}
    with requests.Session() as session:
        for number in range(first, first + count):
            phone, at = save_lead(status, number)
            committed[phone] = at
            time.sleep(PAUSE)
            phone, at = post_body(session, address, number)
            began[phone] = at
            time.sleep(PAUSE)
    return committed, began


def measure() -> dict[str, Any]:
    """Milliseconds from commit to arrival at idle, and over the floor."""
    address = f"http://127.0.0.1:{free_port()}/"
    minted = create_api_key(name=KEY_NAME, scopes=list(Scope))
    with process("bench.receiver", address.rpartition(":")[2].strip("/")), workers():
        wait_for(address, set())
        subscribe(api_key=minted.key, url=address, events=[EventType.LEAD_CREATED], secret="generate")  # noqa: S106
        warm, _ = in_turn(address, 0, 5)  # the worker is up, its connections are warm
        wait_for(address, set(warm))
        committed, began = in_turn(address, 1000, SAVES)
        came = wait_for(address, {*committed, *began})
    APIKey.objects.filter(name=KEY_NAME).delete()
    ms, bare = milliseconds(committed, came), milliseconds(began, came)
    over = {name: ms[name] - bare[name] for name in ("p50", "p95", "p99")}
    return {"saves": SAVES, "ms": ms, "bare_post_ms": bare, "over_bare_post_ms": over}
