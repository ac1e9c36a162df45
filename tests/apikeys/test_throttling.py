"""The token bucket: what it lets through, what it says, and that a cache that is down stops nobody."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apikeys import throttling
from apikeys.operations import delete_key
from apikeys.throttling import Limit, LocalBuckets, RedisBuckets
from tests.clients import public_client
from tests.servers import free_port


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_lets_a_burst_through_and_then_one_by_one():
    clock = Clock()
    buckets = LocalBuckets(clock)
    limit = Limit(rate=600)
    assert [buckets.take(1, limit, 1).allowed for _ in range(101)] == [True] * 100 + [False]
    clock.now += 0.1
    assert buckets.take(1, limit, 1).allowed
    assert not buckets.take(1, limit, 1).allowed
    assert buckets.take(2, limit, 1).allowed
    clock.now += 3600
    assert buckets.take(1, limit, 1).left == 99


def test_a_refused_request_takes_nothing_and_says_how_long():
    clock = Clock()
    buckets = LocalBuckets(clock)
    limit = Limit(rate=6)
    for _ in range(6):
        buckets.take(1, limit, 1)
    refused = buckets.take(1, limit, 1)
    assert not refused.allowed
    assert refused.wait(limit, 1) == 10
    clock.now += 9.9
    assert not buckets.take(1, limit, 1).allowed
    clock.now += 0.2
    assert buckets.take(1, limit, 1).allowed


@given(
    st.integers(1, 2000),
    st.lists(st.tuples(st.floats(0, 120), st.integers(1, 150)), max_size=40),
)
def test_never_more_than_the_burst_and_the_rate_goes_through(rate, requests):
    clock = Clock()
    buckets = LocalBuckets(clock)
    limit = Limit(rate=rate)
    start, passed = clock.now, 0
    for wait, cost in requests:
        clock.now += wait
        level = buckets.take(1, limit, cost)
        passed += min(cost, limit.burst) if level.allowed else 0
        assert -1e-6 <= level.left <= limit.burst
        assert passed <= limit.burst + (clock.now - start) * limit.per_second + 1e-6


def test_threads_share_one_bucket_exactly():
    buckets = LocalBuckets(Clock())
    passed = []

    def take():
        passed.extend(buckets.take(1, Limit(rate=600), 1).allowed for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(True) == 100


@pytest.fixture
def own_buckets(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throttling, "BUCKETS", LocalBuckets(clock))
    return clock


def test_every_answer_to_a_valid_token_tells_what_is_left(db, own_buckets):
    client = public_client("leads:read", rate_limit=None)
    for left, (path, status) in enumerate(
        [("me", 200), ("tags", 403), ("leads/999", 404), ("leads?x=1", 400), ("leads", 200)], start=1
    ):
        answer = client.get(f"/public/{path}")
        assert answer.status_code == status
        assert answer["RateLimit-Policy"] == '"default";q=600;w=60'
        assert answer["RateLimit"] == f'"default";r={100 - left};t=1'
    assert client.request("PUT", "/public/leads")["RateLimit"] == '"default";r=94;t=1'
    for left, path in ((93, "/public/nothing"), (92, "/public"), (91, "/public/leads/1/2")):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer["RateLimit"] == f'"default";r={left};t=1'


def test_whom_a_key_keeps_out_is_told_what_is_left_and_uses_up_nothing(db, own_buckets):
    elsewhere = public_client(allowed_addresses=["203.0.113.0/24"], rate_limit=None)
    form = public_client("leads:write", allowed_origins=["https://www.example.com"], rate_limit=None)
    for _ in range(2):
        answer = elsewhere.get("/public/me")
        assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed")
        assert answer["RateLimit-Policy"] == '"default";q=600;w=60'
        assert answer["RateLimit"] == '"default";r=100;t=0'
        answer = form.post("/public/leads", {}, Origin="https://evil.example")
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert answer["RateLimit"] == '"default";r=100;t=0, "address";r=30;t=0'


def test_too_many_requests_are_refused_until_they_may_come_again(db, own_buckets):
    client = public_client(rate_limit=30)
    for _ in range(30):
        assert client.get("/public/me").status_code == 200
    answer = client.get("/public/me")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer["Retry-After"] == "2"
    assert answer["RateLimit-Policy"] == '"default";q=30;w=60'
    assert answer["RateLimit"] == '"default";r=0;t=60'
    own_buckets.now += 2
    assert client.get("/public/me").status_code == 200


def test_a_limit_of_0_is_none(db, own_buckets):
    client = public_client(rate_limit=0)
    for _ in range(150):
        answer = client.get("/public/me")
    assert answer.status_code == 200
    assert "RateLimit" not in answer


def test_an_answer_to_no_valid_token_tells_nothing(db, own_buckets):
    client = public_client()
    delete_key(key=client.key)
    assert "RateLimit" not in client.get("/public/me")


def test_a_redis_that_is_down_lets_requests_through_and_is_left_alone_for_a_while(db, monkeypatch, caplog):
    clock = Clock()
    redis = Redis(port=free_port(), socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 0))
    buckets = RedisBuckets(redis, clock)
    monkeypatch.setattr(throttling, "BUCKETS", buckets)
    client = public_client(rate_limit=1)
    for _ in range(3):
        answer = client.get("/public/me")
        assert answer.status_code == 200
        assert "RateLimit" not in answer
    assert caplog.text.count("throttling.cache_down") == 1
    clock.now += 1.5
    client.get("/public/me")
    assert caplog.text.count("throttling.cache_down") == 2
