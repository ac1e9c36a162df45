"""One change: a transaction with one moment, joined by inner units, repeated only for rivals' sake."""

import pytest
from django.db import IntegrityError, OperationalError, connection
from psycopg import errors

from calliyo.unit_of_work import current_unit, unit_of_work
from leads.models import Tag

pytestmark = pytest.mark.django_db


def test_the_outermost_unit_counts_and_all_its_parts_have_one_moment():
    with unit_of_work() as outer:
        moment = outer.stamp()
        with unit_of_work() as inner:
            assert inner is outer is current_unit()
        assert outer.stamp() == moment and moment.microsecond % 1000 == 0
    assert current_unit() is None


def test_what_is_to_be_done_at_the_end_is_done_once_inside_the_transaction():
    seen = []
    with unit_of_work() as unit:
        unit.at_end(lambda: seen.append(connection.in_atomic_block))
        with unit_of_work():
            pass
        assert seen == []
    assert seen == [True]


def test_a_refused_inner_step_can_be_caught_and_leaves_nothing():
    @unit_of_work
    def refused() -> None:
        Tag.objects.create(name="never")
        raise ZeroDivisionError

    @unit_of_work
    def outer() -> None:
        with pytest.raises(ZeroDivisionError):
            refused()
        Tag.objects.create(name="kept")

    outer()
    assert list(Tag.objects.values_list("name", flat=True)) == ["kept"]


def test_an_error_of_its_own_is_not_repeated():
    calls = []

    @unit_of_work
    def twice() -> None:
        calls.append(1)
        Tag.objects.create(name="hot")
        Tag.objects.create(name="Hot")

    with pytest.raises(IntegrityError):
        twice()
    assert len(calls) == 1 and not Tag.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cause", [errors.DeadlockDetected, errors.SerializationFailure])
def test_rivals_make_it_try_three_times(cause):
    calls = []

    @unit_of_work
    def unlucky(times: int) -> str:
        calls.append(1)
        Tag.objects.create(name="hot")
        if len(calls) <= times:
            raise OperationalError from cause()
        return "done"

    assert unlucky(2) == "done" and len(calls) == 3 and Tag.objects.count() == 1
    calls.clear()
    Tag.objects.all().delete()
    with pytest.raises(OperationalError):
        unlucky(3)
    assert len(calls) == 3 and not Tag.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_open_unit_is_not_repeated_by_its_inner_ones():
    calls = []

    @unit_of_work
    def unlucky() -> None:
        calls.append(1)
        raise OperationalError from errors.DeadlockDetected()

    with pytest.raises(OperationalError), unit_of_work():
        unlucky()
    assert len(calls) == 1
