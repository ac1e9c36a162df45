"""A form that mints something works once, also when it comes twice in the same moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from calliyo.models import SpentFormNumber
from calliyo.pages import form_numbers
from calliyo.unit_of_work import unit_of_work
from leads.models import Role, User


@pytest.fixture
def asha(transactional_db):
    return User.objects.create_user("asha", "asha@example.com", name="Asha Rao", role=Role.COMPANY_ADMIN)


def test_a_number_is_good_once(priya):
    number = form_numbers.issue(priya)
    form_numbers.spend(number, priya)
    with pytest.raises(form_numbers.FormAlreadyUsed):
        form_numbers.spend(number, priya)


def test_a_number_is_good_for_a_day_and_its_row_goes_afterwards(priya):
    number, late = form_numbers.issue(priya), form_numbers.issue(priya)
    form_numbers.spend(number, priya)
    with (
        time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)),
        pytest.raises(form_numbers.FormTooOld),
    ):
        form_numbers.spend(late, priya)
    SpentFormNumber.objects.update(spent_at=timezone.now() - timedelta(days=3))
    form_numbers.spend(form_numbers.issue(priya), priya)
    assert SpentFormNumber.objects.count() == 1


def test_what_is_rolled_back_leaves_the_number_good(priya):
    number = form_numbers.issue(priya)

    @unit_of_work
    def fails():
        form_numbers.spend(number, priya)
        raise LookupError

    with pytest.raises(LookupError):
        fails()
    form_numbers.spend(number, priya)


def test_of_many_at_once_one_succeeds(asha):
    number = form_numbers.issue(asha)
    start = Barrier(4)

    @unit_of_work
    def spend():
        form_numbers.spend(number, asha)

    def sent(_turn):
        start.wait()
        try:
            spend()
        except form_numbers.FormAlreadyUsed:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as senders:
        assert sorted(senders.map(sent, range(4))) == [False, False, False, True]
