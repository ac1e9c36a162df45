"""Slots of one process: so many at once and no more, each free again when it was left or its lease is over."""

import threading
from contextlib import ExitStack

import pytest

from apikeys.redis_client import redis_of
from apikeys.slots import SLACK_SECONDS, Slots


def test_so_many_at_once_and_no_more():
    slots = Slots(None)
    with ExitStack() as held:
        taken = [held.enter_context(slots.held("wait:7", most=2, seconds=30)) for _ in range(3)]
        assert taken == [True, True, False]
        assert held.enter_context(slots.held("wait:8", most=2, seconds=30))
    with slots.held("wait:7", most=2, seconds=30) as free:
        assert free
    assert slots._taken == {}


def test_an_error_frees_it():
    slots = Slots(None)
    with pytest.raises(ValueError, match="lost"), slots.held("wait:7", most=1, seconds=30):
        raise ValueError("lost")
    with slots.held("wait:7", most=1, seconds=30) as free:
        assert free


def test_a_lease_ends_by_itself():
    now = [0.0]
    slots = Slots(None, lambda: now[0])
    forgotten = slots.held("wait:7", most=1, seconds=30)
    assert forgotten.__enter__()
    now[0] = 30 + SLACK_SECONDS - 0.1
    with slots.held("wait:7", most=1, seconds=30) as free:
        assert not free
    now[0] = 30 + SLACK_SECONDS
    with slots.held("wait:7", most=1, seconds=30) as free:
        assert free


def test_threads_never_hold_more():
    slots, most, seen = Slots(None), 3, []
    lock = threading.Lock()
    inside = 0

    def enter():
        nonlocal inside
        for _ in range(200):
            with slots.held("test:7", most=most, seconds=30) as free:
                if free:
                    with lock:
                        inside += 1
                        seen.append(inside)
                    with lock:
                        inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) <= most


def test_a_redis_that_is_down_leaves_those_of_this_process(caplog):
    slots = Slots(
        redis_of(
            {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
        )
    )
    with (
        slots.held("wait:7", most=1, seconds=30) as first,
        slots.held("wait:7", most=1, seconds=30) as second,
    ):
        assert (first, second) == (True, False)
    assert "slots.cache_down" in caplog.text
