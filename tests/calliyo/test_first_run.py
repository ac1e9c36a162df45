"""`make run`'s preparation: a login and a token, told once; what is there is kept."""

import re
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from apikeys.models import APIKey
from leads.models import Lead, Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def first_run(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"

    def run() -> str:
        out = StringIO()
        call_command("first_run", stdout=out)
        return out.getvalue()

    return run


def test_the_first_run_tells_a_login_and_a_token_that_work(first_run, client):
    told = first_run()
    username, password = re.search(r"Your login \(shown this once\): +(\S+) +(\S+)", told).groups()
    user = authenticate(username=username, password=password)
    assert user.role == Role.COMPANY_ADMIN
    token = re.search(r"Your API token \(shown this once\): +(\S+)", told)[1]
    assert client.get("/public/leads", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert f"Bearer {token}" in told
    assert Lead.objects.exists()


def test_a_second_run_tells_nothing_and_changes_nothing(first_run):
    first_run()
    User.objects.filter(username="admin").delete()
    before = (Lead.objects.count(), User.objects.count(), APIKey.objects.count())
    assert first_run() == ""
    assert (Lead.objects.count(), User.objects.count(), APIKey.objects.count()) == before


def test_a_database_that_has_its_admin_already_is_left_alone(first_run):
    User.objects.create_user("Admin", password="x", role=Role.COMPANY_ADMIN)
    assert "Your login" not in first_run()
    assert not Lead.objects.exists()


def test_the_static_files_are_collected(first_run, settings):
    first_run()
    assert (settings.STATIC_ROOT / "admin" / "css" / "base.css").exists()
