"""A second factor's codes under real threads on real PostgreSQL: what works once works once."""

import re

import pytest
from django.test import Client

from leads.models import Role, SecondFactor, User
from tests.second_factor import app_code, with_factor
from tests.services.test_pipeline_concurrency import THREADS, at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("mid_step")]
PASSWORD = "correct horse"


@pytest.fixture
def priya() -> User:
    return User.objects.create_user(
        "priya", "priya@example.com", PASSWORD, name="Priya", role=Role.COMPANY_ADMIN
    )


@pytest.mark.parametrize("kind", ["code", "recovery_code"])
def test_eight_who_send_the_same_code_at_once_are_one_login(priya: User, kind: str) -> None:
    key, recovery_codes = with_factor(priya)
    code = app_code(key) if kind == "code" else recovery_codes[0]
    clients = [Client(REMOTE_ADDR=f"203.0.113.{number}") for number in range(THREADS)]
    for client in clients:
        client.post("/admin/login/", {"username": "priya", "password": PASSWORD})
    answers = at_once(
        lambda number: clients[number].post("/admin/login/", {"code": "", kind: code}).status_code
    )
    assert sorted(answers) == [200] * (THREADS - 1) + [302]


def test_eight_who_switch_it_on_at_once_with_one_form_are_shown_codes_once(priya: User) -> None:
    client = Client()
    client.force_login(priya)
    page = client.get("/settings/second-factor").content.decode()
    key = re.search(r'<pre id="key">([A-Z2-7 ]+)<', page)[1].replace(" ", "")
    number = re.search(r'name="form_number" value="([^"]+)"', page)[1]
    fields = {"do": "confirm", "form_number": number, "password": PASSWORD, "code": app_code(key)}
    clients = [Client() for _ in range(THREADS)]
    for each in clients:
        each.cookies = client.cookies.copy()
    answers = at_once(lambda number: clients[number].post("/settings/second-factor", fields).content.decode())
    assert ["recovery-codes" in answer for answer in answers].count(True) == 1
    assert SecondFactor.objects.count() == 1
    priya.refresh_from_db()
    assert (priya.has_second_factor, priya.login_epoch) == (True, 1)
