"""When the deciding thread rests: while there is enough to send, and nobody waits for it."""

import time

from tests.webhooks.engines import parcel
from webhooks.delivery.gate import Gate
from webhooks.delivery.lease import Lease
from webhooks.delivery.rest import LONGEST, Rest, in_hand
from webhooks.delivery.run import Run
from webhooks.delivery.served import SLOW_SECONDS, Served
from webhooks.delivery.sharing import LEISURE, Leisure


def serving(parcels: int, *, pace: float = 0.001, slow: bool = False) -> Served:
    """A webhook with so many parcels behind the one that is sent."""
    lease = Lease(webhook_id=1, number=1, ours_until=float("inf"))
    served = Served(lease, pace=pace, slow=slow)
    # No target: nothing is sent here.
    served.runs.append(Run(None, lease, [parcel(number) for number in range(parcels + 1)], Gate()))
    return served


def rest_after(cpu_seconds: float) -> Rest:
    moments = iter([1.0, 1.0 + cpu_seconds])
    rest = Rest(lambda: next(moments))
    with rest.after():
        pass
    return rest


def test_it_rests_three_times_a_turn_and_a_tenth_of_a_second_at_most() -> None:
    much = [serving(5000)]
    assert abs(rest_after(0.02).seconds(much) - 0.06) < 1e-6
    assert rest_after(0.5).seconds(much) == LONGEST
    assert rest_after(0.001).seconds(much) == 0  # the ordinary wait between two turns is longer


def test_it_does_not_rest_where_senders_would_run_out_of_work() -> None:
    assert rest_after(0.02).seconds([serving(119)]) == 0
    assert rest_after(0.02).seconds([serving(60), serving(61)]) > 0
    assert rest_after(0.02).seconds([]) == 0


def test_what_waits_for_its_receiver_is_no_work_in_hand() -> None:
    assert in_hand([serving(5000, slow=True)]) == 0
    assert in_hand([serving(500), serving(5000, slow=True)]) == 0.5


def test_what_stands_behind_a_receiver_that_hangs_is_no_work_in_hand() -> None:
    served = serving(500)
    served.runs[0]._asked_at = time.monotonic()
    assert in_hand([served]) == 0.5
    served.runs[0]._asked_at -= SLOW_SECONDS
    assert in_hand([served]) == 0


def test_one_delivery_each_is_no_backlog() -> None:
    assert in_hand([serving(0) for _ in range(1000)]) == 0


def test_what_was_stopped_or_has_ended_is_no_work_in_hand() -> None:
    served = serving(500)
    served.stop()
    assert in_hand([served]) == 0
    served = serving(500)
    served.runs[0].finish()
    assert in_hand([served]) == 0


def test_it_does_not_rest_while_another_worker_waits_for_a_lease() -> None:
    waited_for = serving(5000)
    waited_for.hand_over()
    assert rest_after(0.02).seconds([serving(5000), waited_for]) == 0


def test_who_has_something_to_send_has_no_leisure_though_no_outcome_came_of_late(monkeypatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr("webhooks.delivery.sharing.ask_for_half", looks.append)
    now = 1000.0
    monkeypatch.setattr("webhooks.delivery.sharing.time.monotonic", lambda: now)
    leisure = Leisure()
    leisure.asked("me", [serving(10)])
    assert looks == []
    now += LEISURE + 0.01
    leisure.asked("me", [serving(10)])
    assert looks == []
    leisure.asked("me", [serving(10, slow=True)])
    assert looks == []  # a moment ago there was something
    now += LEISURE + 0.01
    leisure.asked("me", [serving(10, slow=True)])
    leisure.asked("me", [])
    assert looks == ["me"]  # and not at once again
