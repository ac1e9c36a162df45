"""A user's own page: the second factor on, its codes anew, off again; and help for who lost phone and codes."""

import json
import re
from datetime import timedelta
from html import unescape
from io import StringIO

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from leads import codes
from leads.models import Role, SecondFactor, User
from leads.operations.second_factor import switch_on
from tests.calliyo.conftest import TAB, text_of
from tests.calliyo.test_api_tab_login import PASSWORD, held_in, log_in
from tests.second_factor import app_code, with_factor
from webhooks.reencryption import reencrypt_secrets

PAGE = "/settings/second-factor"
CODE = re.compile(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}")


pytestmark = pytest.mark.usefixtures("mid_step")


def key_on(page):
    """The key that the page shows, as somebody types it into his app."""
    found = re.search(r'<pre id="key">((?:[A-Z2-7]{4} ?){8})</pre>', page)
    assert found, page
    return found[1].replace(" ", "")


def codes_on(answer):
    """The recovery codes that are shown in this answer."""
    found = re.search(r'<pre id="recovery-codes">(.*?)</pre>', text_of(answer), re.DOTALL)
    return CODE.findall(found[1]) if found else []


def number_on(page):
    return unescape(re.search(r'name="form_number" value="([^"]+)"', page)[1])


def send(client, do, **fields):
    number = number_on(text_of(client.get(PAGE)))
    if do == "confirm":
        fields = {"password": PASSWORD} | fields
    return client.post(PAGE, {"do": do, "form_number": number, **fields})


def switched_on(client):
    """Goes the way of the page; gives the key and the recovery codes."""
    key = key_on(text_of(client.get(PAGE)))
    answer = send(client, "confirm", code=app_code(key, steps=-1))
    assert answer.status_code == 200
    return key, codes_on(answer)


def proof(key):
    return {"password": PASSWORD, "code": app_code(key)}


def state():
    return list(SecondFactor.objects.values()), list(
        User.objects.values("pk", "has_second_factor", "login_epoch")
    )


def test_the_menu_leads_there_from_every_page(desk):
    for address in (TAB, "/admin/", PAGE):
        assert f'<a href="{PAGE}">Second factor</a>' in desk.see(address)


@pytest.mark.parametrize("role", Role.values)
def test_everybody_who_works_here_has_one_if_he_likes(client, db, role):
    user = User.objects.create_user("ravi", "ravi@example.com", PASSWORD, role=role)
    client.force_login(user)
    key, _ = switched_on(client)
    user.refresh_from_db()
    assert user.has_second_factor
    visitor = Client()
    visitor.post("/admin/login/", {"username": "ravi", "password": PASSWORD})
    assert visitor.post("/admin/login/", {"code": app_code(key)}).status_code == 302


def test_the_page_shows_the_key_as_a_picture_and_in_fours_without_inline_style(desk):
    answer = desk.client.get(PAGE)
    page = text_of(answer)
    key = key_on(page)
    assert (
        "<svg" in page and f"secret={key}&issuer=Calliyo" in page and "otpauth://totp/Calliyo:priya?" in page
    )
    assert "style=" not in page and "<style" not in page
    assert "no-store" in answer["Cache-Control"]
    assert len(key) == 32
    assert not SecondFactor.objects.exists()


def test_the_key_stays_until_the_app_has_it_and_is_sealed_meanwhile(desk):
    key = key_on(desk.see(PAGE))
    assert key_on(desk.see(PAGE)) == key
    assert key not in str(dict(desk.client.session)) and codes.in_fours(key) not in str(
        dict(desk.client.session)
    )


def test_the_right_code_switches_it_on_and_shows_ten_codes_once(desk):
    key, shown = switched_on(desk.client)
    assert len(set(shown)) == 10
    [factor] = SecondFactor.objects.values()
    assert key not in str(factor) and not any(code in str(factor) for code in shown)
    assert factor["recovery_digests"] == [codes.digest(code) for code in shown]
    assert User.objects.get().has_second_factor
    page = desk.see(PAGE)
    assert (
        not any(code in page for code in shown)
        and "<svg width" not in page
        and key not in page.replace(" ", "")
    )
    assert "10 recovery codes are left." in page
    assert "second_factor_key" not in desk.client.session


def test_the_browser_that_switched_it_on_stays_in_and_others_are_out(desk, priya):
    other = Client()
    other.force_login(priya)
    switched_on(desk.client)
    desk.see(TAB)
    assert other.get(TAB).status_code == 302


def test_the_code_that_switched_it_on_is_used_up(desk):
    key = key_on(desk.see(PAGE))
    code = app_code(key)
    assert send(desk.client, "confirm", code=code).status_code == 200
    desk.client.logout()
    desk.client.post("/admin/login/", {"username": "priya", "password": PASSWORD})
    assert desk.client.post("/admin/login/", {"code": code}).status_code == 200


@pytest.mark.parametrize("code", ["", "000000", "abcdef", "1" * 30])
def test_a_wrong_code_switches_nothing_on_and_the_key_stays(desk, code):
    key = key_on(desk.see(PAGE))
    before = state()
    answer = send(desk.client, "confirm", code=code)
    assert answer.status_code == 200 and 'aria-invalid="true"' in text_of(answer)
    assert key_on(text_of(answer)) == key
    assert state() == before


@pytest.mark.parametrize("password", ["", "wrong"])
def test_who_finds_an_open_browser_cannot_lock_its_owner_out(desk, password):
    key = key_on(desk.see(PAGE))
    before = state()
    answer = send(desk.client, "confirm", code=app_code(key), password=password)
    assert answer.status_code == 200 and 'id="id_password_error"' in text_of(answer)
    assert state() == before
    for _ in range(10):
        answer = send(desk.client, "confirm", code=app_code(key), password="guessed")
    assert answer.status_code == 429


def test_a_second_post_of_the_same_form_shows_and_does_nothing(desk):
    page = desk.see(PAGE)
    key = key_on(page)
    fields = {"do": "confirm", "form_number": number_on(page), "password": PASSWORD, "code": app_code(key)}
    desk.client.post(PAGE, fields)
    before = state()
    again = desk.client.post(PAGE, fields, follow=True)
    assert codes_on(again) == []
    assert state() == before


def test_a_renewal_that_is_sent_again_shows_and_does_nothing(desk):
    key, _ = switched_on(desk.client)
    fields = {"do": "renew", "form_number": number_on(desk.see(PAGE)), "password": PASSWORD}
    assert codes_on(desk.client.post(PAGE, fields | {"code": app_code(key)}))
    before = SecondFactor.objects.get().recovery_digests
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        again = desk.client.post(PAGE, fields | {"code": app_code(key)}, follow=True)
    assert "nothing was done a second time" in text_of(again) and codes_on(again) == []
    assert SecondFactor.objects.get().recovery_digests == before


def test_a_key_that_nobody_took_is_replaced_after_an_hour(desk):
    key = key_on(desk.see(PAGE))
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        answer = send(desk.client, "confirm", code=app_code(key))
        assert key_on(text_of(answer)) != key
    assert not SecondFactor.objects.exists()


def test_new_recovery_codes_make_the_earlier_ones_void(desk):
    key, earlier = switched_on(desk.client)
    shown = codes_on(send(desk.client, "renew", **proof(key)))
    assert len(set(shown) - set(earlier)) == 10
    factor = SecondFactor.objects.get()
    assert not factor.verify_token(earlier[0]) and factor.verify_token(shown[0])


@pytest.mark.parametrize("do", ["renew", "anew", "off"])
@pytest.mark.parametrize(
    "given", [{}, {"code": "right"}, {"password": PASSWORD}, {"password": "wrong", "code": "right"},
              {"password": PASSWORD, "code": "000000"}, {"password": PASSWORD, "recovery_code": "abcd"}]
)  # fmt: skip
def test_nothing_is_changed_without_the_password_and_a_code(desk, do, given):
    key, _ = switched_on(desk.client)
    typed = {name: app_code(key) if value == "right" else value for name, value in given.items()}
    codes_before = SecondFactor.objects.get().recovery_digests
    answer = send(desk.client, do, **typed)
    assert answer.status_code == 200 and 'aria-invalid="true"' in text_of(answer)
    assert "<svg width" not in text_of(answer) and "second_factor_key" not in desk.client.session
    assert SecondFactor.objects.get().recovery_digests == codes_before
    assert User.objects.get().has_second_factor
    # The code beside a wrong password is still good.
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        assert SecondFactor.objects.get().verify_token(app_code(key))


@pytest.mark.parametrize("do", ["renew", "anew", "off"])
@pytest.mark.parametrize("wrong", ["password", "code"])
def test_guessing_there_is_stopped_as_at_the_login(desk, do, wrong):
    key, _ = switched_on(desk.client)
    for number in range(10):
        answer = send(desk.client, do, **proof(key) | {wrong: f"{number:06d}"})
    assert answer.status_code == 429
    assert send(desk.client, do, **proof(key)).status_code == 429
    assert User.objects.get().has_second_factor


def test_off_with_password_and_code_and_then_the_password_is_enough(desk):
    key, _ = switched_on(desk.client)
    answer = send(desk.client, "off", **proof(key))
    assert answer["Location"] == PAGE
    page = desk.see(PAGE)
    assert "The second factor is off" in page and key_on(page) != key
    assert not SecondFactor.objects.exists()
    visitor = Client()
    assert log_in(visitor, "").status_code == 302
    assert visitor.get(TAB).status_code == 200


def test_off_with_a_recovery_code(desk):
    _, shown = switched_on(desk.client)
    send(desk.client, "off", password=PASSWORD, recovery_code=shown[0])
    assert not User.objects.get().has_second_factor


def test_another_app_replaces_the_first_only_when_it_gave_a_code(desk, priya):
    key, _ = switched_on(desk.client)
    before = state()
    assert send(desk.client, "anew", **proof(key))["Location"] == PAGE
    new = key_on(desk.see(PAGE))
    assert new != key
    assert state()[1] == before[1] and SecondFactor.objects.get().key == before[0][0]["key"]
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        assert SecondFactor.objects.get().verify_token(app_code(key))
    other = Client()
    other.force_login(priya)
    shown = codes_on(send(desk.client, "confirm", code=app_code(new, steps=-1)))
    assert len(shown) == 10
    factor = SecondFactor.objects.get()
    assert not factor.verify_token(app_code(key)) and not factor.verify_token(
        before[0][0]["recovery_digests"][0]
    )
    assert other.get(TAB).status_code == 302
    desk.see(TAB)


def test_who_changes_his_mind_keeps_the_app_that_he_has(desk):
    key, _ = switched_on(desk.client)
    send(desk.client, "anew", **proof(key))
    assert send(desk.client, "stay")["Location"] == PAGE
    assert "Change it" in desk.see(PAGE)


def test_a_key_is_not_taken_over_without_having_been_shown(desk):
    """While it is on, the bare form that confirms finds no key to confirm."""
    switched_on(desk.client)
    before = state()
    assert send(desk.client, "confirm", code="123456")["Location"] == PAGE
    assert state() == before


def test_a_form_without_a_login_changes_nothing_and_forgets_its_secrets(client, priya):
    key, _ = with_factor(priya)
    asked = client.post(PAGE, {"do": "off", "password": "typed here", "code": "654321", "form_number": "x"})
    held = held_in(asked)
    assert log_in(client, held).status_code == 200
    answer = client.post("/settings/login", {"code": app_code(key), "held": held})
    assert answer["Location"] == PAGE
    assert "typed here" not in str(dict(client.session)) and "654321" not in str(dict(client.session))
    assert "nothing was changed" in text_of(client.get(PAGE))
    assert User.objects.get().has_second_factor


@pytest.fixture
def boss(priya):
    User.objects.filter(pk=priya.pk).update(is_superuser=True)
    return User.objects.get(pk=priya.pk)


@pytest.fixture
def ravi(db):
    ravi = User.objects.create_user("ravi", "ravi@example.com", PASSWORD, name="Ravi", role=Role.AGENT)
    with_factor(ravi)
    return ravi


def remove(client, *users):
    action = {"action": "remove_second_factor", "_selected_action": [user.pk for user in users]}
    return text_of(client.post("/admin/leads/user/", action, follow=True))


def test_a_superuser_removes_it_in_the_admin_and_the_history_tells(client, boss, ravi):
    client.force_login(boss)
    assert "1 second factor removed." in remove(client, ravi, boss)
    assert not SecondFactor.objects.exists()
    assert "Switched off the second factor." in text_of(client.get(f"/admin/leads/user/{ravi.pk}/history/"))
    [entry] = LogEntry.objects.all()
    assert (entry.user, entry.object_id) == (boss, str(ravi.pk))
    assert log_in(Client(), "", username="ravi").status_code == 302


def test_who_is_no_superuser_does_not(client, priya, ravi):
    client.force_login(priya)
    assert "Remove the second factor" not in text_of(client.get("/admin/leads/user/"))
    remove(client, ravi)
    assert SecondFactor.objects.exists()


def test_the_users_page_tells_who_has_one(client, priya, ravi):
    client.force_login(priya)
    page = text_of(client.get(f"/admin/leads/user/{ravi.pk}/change/"))
    assert re.search(r"Has second factor.*?icon-yes", page, re.DOTALL)


def test_a_user_with_one_can_be_deleted(client, priya, ravi):
    client.force_login(priya)
    client.post(f"/admin/leads/user/{ravi.pk}/delete/", {"post": "yes"})
    assert list(User.objects.all()) == [priya] and not SecondFactor.objects.exists()


def test_the_command_removes_it_whatever_case_the_name_is_in(ravi):
    out = StringIO()
    with capture_logs() as logs:
        call_command("reset_second_factor", "RAVI", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"id": ravi.pk, "username": "ravi"}
    assert [(line["event"], line["user"], line["actor_type"]) for line in logs] == [
        ("second_factor.switched_off", ravi.pk, "system")
    ]
    assert log_in(Client(), "", username="ravi").status_code == 302


@pytest.mark.parametrize(
    ("name", "reason"), [("nobody", "no user"), ("priya", "no second factor"), ("\0", "no user")]
)
def test_the_command_refuses_who_is_not_there_or_has_none(priya, name, reason):
    with pytest.raises(CommandError, match=reason):
        call_command("reset_second_factor", name)


def test_the_log_tells_what_was_done_by_whom_and_no_secret(desk, priya):
    with capture_logs() as logs:
        key, shown = switched_on(desk.client)
        send(desk.client, "renew", **proof(key))
        with time_machine.travel(timezone.now() + timedelta(seconds=60)):
            send(desk.client, "off", password=PASSWORD, recovery_code=shown[0])
            send(desk.client, "off", **proof(key))
    told = [line for line in logs if line["event"].startswith("second_factor.")]
    events = ("switched_on", "recovery_codes_made", "switched_off")
    assert [line["event"] for line in told] == [f"second_factor.{event}" for event in events]
    assert {line["actor_id"] for line in told} == {priya.pk}
    assert [each.change_message for each in LogEntry.objects.order_by("pk")] == [
        "Switched on a second factor.",
        "Made new recovery codes.",
        "Switched off the second factor.",
    ]
    everything = f"{logs}{list(LogEntry.objects.values())}"
    assert not any(secret in everything for secret in (key, PASSWORD, *shown))


def test_its_key_moves_to_the_newest_field_key_and_one_that_none_opens_is_told(priya, settings, capsys):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CALLIYO_FIELD_KEYS = [old]
    key, shown = with_factor(priya)
    settings.CALLIYO_FIELD_KEYS = [new, old]
    assert reencrypt_secrets(dry_run=True).changed == 1
    assert (reencrypt_secrets().changed, reencrypt_secrets().changed) == (1, 0)
    settings.CALLIYO_FIELD_KEYS = [new]
    assert SecondFactor.objects.get().verify_token(app_code(key))
    settings.CALLIYO_FIELD_KEYS = [old]
    call_command("reencrypt_secrets")
    assert f"reset_second_factor removes it: {priya.pk}." in capsys.readouterr().out
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        assert not SecondFactor.objects.get().verify_token(app_code(key))
    assert SecondFactor.objects.get().verify_token(shown[0])


def test_a_refused_key_leaves_the_one_before(priya):
    key, _ = with_factor(priya)
    before = state()
    with pytest.raises(Exception, match="not the code"):
        switch_on(user=priya, key=codes.new_key(), code=app_code(key))
    assert state() == before
