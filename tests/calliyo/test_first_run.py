"""`make run`'s preparation: a login and a token, told once; what is there is kept."""

import os
import re
import subprocess
import sys
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from apikeys.models import APIKey
from leads.models import Lead, Role, User
from tests.processes import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def first_run(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    settings.RUN_ENVIRONMENT = tmp_path / "run_environment"

    def run() -> str:
        out = StringIO()
        call_command("first_run", stdout=out)
        return out.getvalue()

    return run


def test_the_first_run_tells_a_login_and_a_token_that_work(first_run, client, rf):
    told = first_run()
    username, password = re.search(r"Your login \(shown this once\): +(\S+) +(\S+)", told).groups()
    user = authenticate(rf.post("/admin/login/"), username=username, password=password)
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


def test_a_command_in_another_terminal_knows_what_the_run_was_started_with(first_run, monkeypatch, tmp_path):
    monkeypatch.setenv("PORT", "9100")
    monkeypatch.setenv("CALLIYO_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
    first_run()
    script = "from calliyo import settings as s; print(s.BASE_URL, *s.CALLIYO_WEBHOOK_ALLOWED_NETWORKS)"
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={"CALLIYO_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["http://127.0.0.1:9100", "127.0.0.0/8", "::1/128"]


def test_the_static_files_are_collected(first_run, settings):
    first_run()
    assert (settings.STATIC_ROOT / "admin" / "css" / "base.css").exists()
