"""The token bucket in real Redis: exact across processes' connections, and kept no longer than it is needed."""

import threading

import pytest
from django.conf import settings
from redis import Redis

from apikeys.throttling import Limit, RedisBuckets, buckets_for
from tests.clients import public_client


@pytest.fixture
def redis():
    return Redis.from_url(settings.CACHES["default"]["LOCATION"])


def test_the_setting_names_redis():
    assert isinstance(buckets_for(settings.CACHES["default"]), RedisBuckets)


def test_a_burst_goes_through_once_however_many_ask(redis):
    passed = []

    def take():
        buckets = RedisBuckets(Redis.from_url(settings.CACHES["default"]["LOCATION"]))
        passed.extend(buckets.take(1, Limit(rate=60), 1).allowed for _ in range(40))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 60 at once, and one more for each second that the test took.
    assert 60 <= passed.count(True) <= 65
    assert 0 < redis.ttl("calliyo:rate:1") <= 61


def test_what_is_left_is_told_as_by_the_local_buckets(redis):
    buckets = RedisBuckets(redis)
    assert round(buckets.take(2, Limit(rate=600), 1).left) == 99
    assert round(buckets.take(2, Limit(rate=600), 90).left) == 9
    refused = buckets.take(2, Limit(rate=600), 90)
    assert not refused.allowed
    assert 7 <= refused.wait(Limit(rate=600), 90) <= 9


def test_the_api_is_limited_through_redis(db, redis):
    client = public_client(rate_limit=2)
    answers = [client.get("/public/me") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0]["RateLimit"] == '"default";r=1;t=30'
    assert answers[2]["Retry-After"] in {"29", "30"}
    assert redis.exists(f"calliyo:rate:{client.key.pk}")


def test_a_redis_that_has_forgotten_the_script_is_told_it_again(redis):
    buckets = RedisBuckets(redis)
    redis.script_flush()
    assert [round(buckets.take(3, Limit(rate=600), 1).left) for _ in range(2)] == [99, 98]
