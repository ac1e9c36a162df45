"""What holds for a key in all web processes together: its rate, its waits, its counts."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.conf import settings
from redis import Redis

from apikeys.models import KeyUsage, RefusedCall
from apikeys.slots import SLACK_SECONDS
from apikeys.tally import EVERY
from tests.clients import public_client
from tests.processes import wait_until

PATIENCE = 30


@pytest.fixture(autouse=True)
def fresh_redis():
    Redis.from_url(settings.CACHES["default"]["LOCATION"]).flushdb()


@pytest.fixture
def two(start_web):
    return start_web(), start_web()


def ask(web, client, path="/public/me"):
    headers = {"Authorization": f"Bearer {client.token}"}
    return requests.get(f"{web.address}{path}", headers=headers, timeout=PATIENCE)


def test_two_processes_let_through_what_one_would(two):
    client = public_client(rate_limit=60)
    with ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda n: ask(two[n % 2], client), range(150)))
        seconds = time.monotonic() - started
    passed = [answer for answer in answers if answer.status_code == 200]
    # 60 at once, and one a second.
    assert 60 <= len(passed) <= 61 + seconds
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all("RateLimit" in answer.headers for answer in answers)
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 429)


def test_a_key_has_two_waits_in_all_processes_and_a_killed_one_frees_its_own(two):
    one, other = two
    client = public_client("leads:read")
    seconds = 3
    latest = f"/public/events?after=latest&wait={seconds}"

    def timed(web):
        started = time.monotonic()
        ask(web, client, latest)
        return time.monotonic() - started

    assert timed(one) >= seconds
    waiting = [threading.Thread(target=_until_cut_off, args=(one, client, latest)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    redis = Redis.from_url(settings.CACHES["default"]["LOCATION"])
    wait_until(lambda: redis.zcard(f"calliyo:slots:wait:{client.key.pk}") == 2)
    assert timed(other) < seconds - 1
    one.kill()
    for thread in waiting:
        thread.join()
    assert timed(other) < seconds - 1  # the dead one's leases still hold
    time.sleep(seconds + SLACK_SECONDS)
    assert timed(other) >= seconds


def _until_cut_off(web, client, path):
    with pytest.raises(requests.ConnectionError):
        ask(web, client, path)


def calls_of(client):
    return sum(KeyUsage.objects.filter(api_key_id=client.key.pk).values_list("calls", flat=True))


def test_processes_that_end_in_good_order_lose_no_count(two):
    client = public_client()
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: ask(two[n % 2], client, "/public/me" if n % 4 else "/public/leads"), range(200)
            )
        )
    for web in two:
        assert web.stop() == 0
    assert calls_of(client) == 200
    assert RefusedCall.objects.filter(api_key_id=client.key.pk).count() == 50


def test_one_that_is_killed_loses_what_it_had_not_written(web_server):
    client = public_client()
    for _ in range(20):
        ask(web_server, client)
    wait_until(lambda: calls_of(client) == 20, seconds=EVERY + 5)
    ask(web_server, client)
    web_server.kill()
    assert calls_of(client) in {20, 21}
