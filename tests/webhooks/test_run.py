"""Small parts of the engine: how parcels are split over threads, and how wake-ups come in."""

import time

from hypothesis import given
from hypothesis import strategies as st

from tests.processes import wait_until
from webhooks.delivery.claim import Parcel
from webhooks.delivery.pokes import Pokes
from webhooks.delivery.run import split

parcels = st.lists(st.integers(0, 8), max_size=40).map(
    lambda lanes: [
        Parcel(
            delivery_id=number, lane=lane, lead_id=lane, sequence=number, attempts=0,
            event_type="lead.created", message_id="evt_1", body=b"{}",
        )
        for number, lane in enumerate(lanes)
    ]
)  # fmt: skip


@given(parcels=parcels, runs=st.integers(1, 5))
def test_a_split_loses_nothing_and_keeps_each_lane_whole_and_in_order(
    parcels: list[Parcel], runs: int
) -> None:
    parts = split(parcels, runs)
    assert len(parts) <= runs and all(parts)
    assert sorted(parcel.delivery_id for part in parts for parcel in part) == list(range(len(parcels)))
    for part in parts:
        assert [parcel.sequence for parcel in part] == sorted(parcel.sequence for parcel in part)
    lanes = [{parcel.lane for parcel in part} for part in parts]
    assert sum(map(len, lanes)) == len({parcel.lane for parcel in parcels})


def test_a_poke_ends_the_wait_at_once_and_is_taken_once() -> None:
    pokes = Pokes()
    pokes.put([3, 1])
    pokes.put([3])
    before = time.monotonic()
    pokes.wait(5)
    assert time.monotonic() - before < 1
    assert pokes.take() == {1, 3} and pokes.take() == set()


def test_a_retry_rings_when_it_is_due_and_the_earlier_of_two_counts() -> None:
    pokes = Pokes()
    pokes.put_after(1, 60)
    pokes.put_after(1, 0.05)
    pokes.put_after(2, 60)
    assert pokes.take() == set()
    pokes.wait(5)
    assert pokes.take() == {1}


def test_what_another_worker_serves_is_looked_at_again_at_growing_waits_until_settled() -> None:
    pokes = Pokes()
    waits = []
    for _ in range(3):
        before = time.monotonic()
        pokes.put_later([1])
        wait_until(lambda: pokes.take() == {1}, every=0.001)
        waits.append(time.monotonic() - before)
    assert waits[0] >= 0.01 and waits[1] >= 0.02 and waits[2] >= 0.04
    pokes.settle([1])
    time.sleep(0.02)
    assert pokes.take() == set()


def test_what_is_looked_at_again_soon_after_is_taken_along() -> None:
    pokes = Pokes()
    for turn in ([1], [1], [1, 2]):
        pokes.put_later(turn)
    assert pokes.take() == set()  # 1 in 80 ms, 2 in 20 ms
    pokes.put_later([1, 2])
    pokes.wait(5)
    time.sleep(0.06)
    assert pokes.take() == {1, 2}
