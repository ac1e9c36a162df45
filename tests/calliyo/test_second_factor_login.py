"""The login in two steps: a right password alone opens nothing, a code works once, and guessing codes is slow."""

from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys.models import APIKey
from leads.models import Role, SecondFactor, User
from leads.operations.second_factor import switch_off
from tests.calliyo.conftest import TAB, text_of
from tests.calliyo.test_api_tab_login import PASSWORD, held_in
from tests.second_factor import app_code, with_factor

pytestmark = pytest.mark.usefixtures("mid_step")
ADMIN, SETTINGS = "/admin/login/", "/settings/login"
LOGINS = pytest.mark.parametrize("address", [ADMIN, SETTINGS])
PLACES = [TAB, "/settings/second-factor", "/admin/", "/admin/leads/lead/", "/admin/password_change/"]
WRONG = "This code is wrong, or was used already."


@pytest.fixture
def factor(priya):
    return with_factor(priya)


@pytest.fixture
def key(factor):
    return factor[0]


def give_password(client, address=ADMIN, **more):
    return client.post(address, {"username": "priya", "password": PASSWORD, **more})


def give_code(client, code="", address=ADMIN, **more):
    return client.post(address, {"code": code, **more})


def is_in(client):
    """Whether this browser is let in anywhere; it has to be everywhere or nowhere."""
    [answer] = {client.get(place).status_code == 200 for place in PLACES}
    return answer


@LOGINS
def test_the_password_alone_opens_nothing_and_the_code_then_does(client, key, address):
    asked = give_password(client, address)
    assert asked.status_code == 200
    page = text_of(asked)
    assert 'name="code"' in page and 'autocomplete="one-time-code"' in page and 'inputmode="numeric"' in page
    assert "autofocus" in page and 'name="password"' not in page and PASSWORD not in page
    assert "no-store" in asked["Cache-Control"]
    assert not is_in(client)
    assert give_code(client, app_code(key), address).status_code == 302
    assert is_in(client)


def test_who_has_no_second_factor_logs_in_with_the_password(client, priya):
    assert give_password(client).status_code == 302
    assert is_in(client)


def test_the_page_that_was_wanted_comes_after_the_code(client, key):
    wanted = f"{TAB}&key=12&panel=webhooks"
    login = client.get(wanted)["Location"]
    page = text_of(client.post(login, {"username": "priya", "password": PASSWORD, "next": wanted}))
    assert f'name="next" value="{wanted}"' in page and f'action="{login}"' in page
    assert give_code(client, app_code(key), login, next=wanted)["Location"] == wanted
    assert give_code(Client(), app_code(key), login, next="https://evil.example").status_code == 200


def test_a_form_that_came_without_a_login_comes_back_after_both_steps(client, key):
    held = held_in(client.post("/settings/api/keys", {"name": "Marketing form"}))
    again = held_in(give_password(client, SETTINGS, held=held))
    once_more = held_in(give_code(client, "000000", SETTINGS, held=again))
    with time_machine.travel(timezone.now() + timedelta(seconds=2), tick=False):
        answer = give_code(client, app_code(key), SETTINGS, held=once_more)
        assert 'value="Marketing form"' in text_of(client.get(answer["Location"]))
    assert not APIKey.objects.exists()


def test_a_code_works_once(client, key):
    code = app_code(key)
    give_password(client)
    assert give_code(client, code).status_code == 302
    client.logout()
    give_password(client)
    assert WRONG in text_of(give_code(client, code))
    assert not is_in(client)


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(client, key, steps, taken):
    with time_machine.travel(timezone.now() + timedelta(minutes=10), tick=False):
        give_password(client)
        assert (give_code(client, app_code(key, steps=steps)).status_code == 302) == taken


def test_after_a_code_of_the_next_step_none_before_it_is_taken(client, key):
    with time_machine.travel(timezone.now() + timedelta(minutes=10), tick=False):
        give_password(client)
        assert give_code(client, app_code(key, steps=1)).status_code == 302
        client.logout()
        give_password(client)
        assert give_code(client, app_code(key)).status_code == 200


@pytest.mark.parametrize("written", ["{} {}", "{}-{}", " {}{} "])
def test_a_code_may_be_grouped(client, key, written):
    code = app_code(key)
    give_password(client)
    assert give_code(client, written.format(code[:3], code[3:])).status_code == 302


@pytest.mark.parametrize("code", ["", "x", "12345", "1234567", "١٢٣٤٥٦", "\x00", "-12345", "000000"])
def test_anything_else_is_refused(client, key, code):
    give_password(client)
    assert give_code(client, code).status_code == 200
    assert not is_in(client)


def test_a_code_without_the_password_before_it_is_nothing(client, key):
    answer = give_code(client, app_code(key), username="priya")
    assert "That took too long. Log in again." in text_of(answer)
    assert 'name="password"' in text_of(answer)
    assert not is_in(client)
    assert SecondFactor.objects.get().throttling_failure_count == 0


def test_the_password_is_remembered_for_ten_minutes(client, key):
    give_password(client)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert "That took too long" in text_of(give_code(client, app_code(key)))
        assert not is_in(client)


@pytest.mark.parametrize("change", ["password", "ban", "off"])
def test_what_changes_between_the_steps_ends_the_first(client, priya, key, change):
    give_password(client)
    if change == "password":
        priya.set_password("another horse")
        priya.save()
    elif change == "ban":
        User.objects.filter(pk=priya.pk).update(is_active=False)
    else:
        switch_off(user=priya)
    assert "That took too long" in text_of(give_code(client, app_code(key)))
    assert not is_in(client)


def test_a_code_is_asked_of_whose_password_it_was(client, key):
    """Nobody gets in with the password of one and the code of another."""
    ravi = User.objects.create_user("ravi", "ravi@example.com", PASSWORD, role=Role.COMPANY_ADMIN)
    with_factor(ravi)
    client.post(ADMIN, {"username": "ravi", "password": PASSWORD})
    assert give_code(client, app_code(key), username="priya").status_code == 200
    assert not is_in(client)


def test_the_session_gets_another_name_at_each_step(client, key):
    held_in(client.post("/settings/api/keys", {"name": "x"}))
    give_password(client)
    waiting = client.cookies[settings.SESSION_COOKIE_NAME].value
    give_password(client)
    second = client.cookies[settings.SESSION_COOKIE_NAME].value
    give_code(client, app_code(key))
    assert len({waiting, second, client.cookies[settings.SESSION_COOKIE_NAME].value}) == 3
    assert not Session.objects.filter(pk__in=[waiting, second]).exists()


def test_a_recovery_code_works_once_and_in_any_writing(client, factor):
    _, recovery_codes = factor
    give_password(client)
    typed = f" {recovery_codes[3].upper().replace('-', ' ')} "
    assert give_code(client, recovery_code=typed).status_code == 302
    page = client.get(TAB)
    assert "You logged in with a recovery code. 9 recovery codes are left." in text_of(page)
    client.logout()
    give_password(client)
    again = give_code(client, recovery_code=recovery_codes[3])
    assert again.status_code == 200 and "<details open>" in text_of(again)
    assert give_code(client, recovery_code=recovery_codes[4]).status_code == 302


@LOGINS
def test_guessing_codes_is_stopped_for_a_while_however_often_the_password_is_right(client, key, address):
    for number in range(10):
        asked = give_password(client, address, held="kept")
        assert asked.status_code == 200
        answer = give_code(client, f"{number:06d}", address, held="kept")
    assert answer.status_code == 429
    assert "the password or the code was wrong too often" in text_of(answer)
    assert give_password(client, address).status_code == 429
    assert give_code(client, app_code(key), address).status_code == 429
    assert not is_in(client)
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        give_password(client, address)
        assert give_code(client, app_code(key), address).status_code == 302


def test_wrong_passwords_and_wrong_codes_are_counted_together(client, key):
    for number in range(5):
        client.post(ADMIN, {"username": "priya", "password": f"guess {number}"})
    give_password(client)
    for number in range(5):
        answer = give_code(client, f"{number:06d}")
    assert answer.status_code == 429


def test_guessing_from_many_addresses_is_slowed_but_recovery_codes_are_taken(client, factor):
    key, recovery_codes = factor
    for number in range(6):
        with time_machine.travel(timezone.now() + timedelta(seconds=2**number), tick=False):
            guesser = Client(REMOTE_ADDR=f"203.0.113.{number}")
            give_password(guesser)
            give_code(guesser, f"{number:06d}")
    failures = SecondFactor.objects.get().throttling_failure_count
    assert failures >= 5
    give_password(client)
    refused = give_code(client, app_code(key))
    assert "the app's codes are looked at again in" in text_of(refused)
    assert SecondFactor.objects.get().throttling_failure_count == failures
    assert give_code(client, recovery_code=recovery_codes[0]).status_code == 302
    assert SecondFactor.objects.get().throttling_failure_count == 0


def test_a_right_code_forgives_the_wrong_ones_before(client, key):
    for number in range(9):
        client.post(ADMIN, {"username": "priya", "password": f"guess {number}"})
    give_password(client)
    assert AccessAttempt.objects.exists()
    assert give_code(client, app_code(key)).status_code == 302
    assert not AccessAttempt.objects.exists()


def test_a_forgotten_code_is_no_wrong_one(client, key):
    give_password(client)
    assert "Enter a code." in text_of(give_code(client, ""))
    assert not AccessAttempt.objects.exists()


def test_who_guesses_leaves_no_code_behind(client, factor):
    give_password(client)
    give_code(client, "123456", recovery_code="abcd-efgh-ijkl-mnop")
    [attempt] = AccessAttempt.objects.values()
    assert "123456" not in str(attempt) and "abcd" not in str(attempt)


def test_a_session_that_has_not_seen_a_code_opens_nothing(client, priya, factor):
    client.force_login(priya)
    assert not is_in(client)
    assert 'id="login-form"' in text_of(client.post("/settings/api/keys", {"name": "Mine"}))
    assert not APIKey.objects.exists()


def test_sessions_from_before_it_was_switched_on_have_ended_for_good(client, priya):
    used, idle = Client(), Client()
    used.force_login(priya)
    idle.force_login(priya)
    assert is_in(used)
    with_factor(priya)
    assert not is_in(used)
    switch_off(user=priya)
    assert not is_in(used) and not is_in(idle)


def test_the_session_stays_while_the_password_is_changed(client, key):
    give_password(client)
    give_code(client, app_code(key))
    new = "a very new horse"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/admin/password_change/", fields).status_code == 302
    assert is_in(client)


def test_the_second_factor_costs_no_query_on_a_page(client, priya):
    def queries():
        client.get(TAB)
        with CaptureQueriesContext(connection) as found:
            assert client.get(TAB).status_code == 200
        return len(found)

    give_password(client)
    before = queries()
    client.logout()
    key, _ = with_factor(priya)
    give_password(client)
    give_code(client, app_code(key))
    assert queries() == before


def test_switching_it_on_is_no_change_of_the_user_that_others_are_told_of(priya):
    version = User.objects.get().version
    with_factor(priya)
    switch_off(user=priya)
    assert User.objects.get().version == version
