"""The token bucket in real Redis: exact across processes' connections, and kept no longer than it is needed."""

import socket
import threading

import pytest
from django.conf import settings
from redis import Redis

from apikeys.throttling import BUCKETS, PLENTY, Limit, RedisBuckets, buckets_for
from leads.api.leads import LeadViewSet
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
    assert 0 < redis.ttl("calliyo:bucket:1") <= 61


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
    assert redis.exists(f"calliyo:bucket:{client.key.pk}")


def test_a_redis_that_has_forgotten_the_script_is_told_it_again(redis):
    buckets = RedisBuckets(redis)
    redis.script_flush()
    assert [round(buckets.take(3, Limit(rate=100), 1).left) for _ in range(2)] == [99, 98]


def test_a_rate_that_is_raised_holds_at_once(redis):
    buckets = RedisBuckets(redis)
    assert round(buckets.take(4, Limit(rate=60), 60).left) == 0
    refused = buckets.take(4, Limit(rate=6000), 1)
    assert not refused.allowed
    assert refused.wait(Limit(rate=6000), 1) == 1


def test_a_connection_that_redis_has_closed_is_opened_anew(redis, caplog):
    buckets = RedisBuckets(redis)
    assert round(buckets.take(5, Limit(rate=100), 1).left) == 99
    for client in redis.client_list():
        if client["cmd"] == "evalsha":
            redis.client_kill(client["addr"])
    assert round(buckets.take(5, Limit(rate=100), 1).left) == 98
    assert "cache_down" not in caplog.text


def test_a_connection_that_takes_no_more_is_opened_anew(redis, caplog):
    """Redis had hung up long before: the system knows it by now, and says so when something is written."""
    buckets = RedisBuckets(redis)
    assert round(buckets.take(8, Limit(rate=100), 1).left) == 99
    buckets._line.connection._sock.shutdown(socket.SHUT_WR)
    assert round(buckets.take(8, Limit(rate=100), 1).left) == 98
    assert "cache_down" not in caplog.text


def test_an_answer_that_nobody_read_is_not_taken_for_the_next_one(redis):
    buckets = RedisBuckets(redis)
    buckets.charge(6, Limit(rate=100), 50)
    assert round(buckets.take(7, Limit(rate=100), 1).left) == 99
    assert round(buckets.take(6, Limit(rate=100), 1).left) == 49


def test_a_list_is_read_while_its_limit_is_awaited_and_told_only_within_it(db, redis, monkeypatch):
    client = public_client("leads:read", rate_limit=60)
    read = []
    pictures = LeadViewSet.pictures
    monkeypatch.setattr(
        LeadViewSet, "pictures", lambda *args: read.append(BUCKETS._line.awaited) or pictures(*args)
    )
    answers = [client.get("/public/leads") for _ in range(64)]
    statuses = [answer.status_code for answer in answers]
    passed = statuses.count(200)
    assert 60 <= passed <= 63
    assert statuses[:60] == [200] * 60
    assert answers[0]["RateLimit"] == '"default";r=59;t=1'
    assert [int(answer["RateLimit"].split("r=")[1].split(";")[0]) for answer in answers[:40]] == sorted(
        range(20, 60), reverse=True
    )
    refused = answers[-1]
    assert (refused.status_code, refused["Retry-After"], refused["RateLimit"]) == (
        429,
        "1",
        '"default";r=0;t=60',
    )
    # Awaited beside the work only while there is plenty: who has nothing left costs no reading.
    assert read == [False] + [True] * (60 - PLENTY) + [False] * (passed - 61 + PLENTY)


def test_what_was_let_in_by_mistake_of_the_last_look_is_refused_after_all(db, redis):
    client = public_client("leads:read", rate_limit=60)
    assert client.get("/public/leads").status_code == 200
    others = RedisBuckets(redis)  # another process uses up what this one believes is there
    assert others.take(client.key.pk, Limit(rate=60), 59).allowed
    for path in ("/public/leads", "/public/leads/1", "/public/leads?wrong=1"):
        BUCKETS._left[client.key.pk] = 59
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (
            429,
            "rate_limited",
            "1",
        )
        assert answer["RateLimit"].startswith('"default";r=0;t=')
