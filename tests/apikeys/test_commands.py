"""The five key commands: JSON on stdout and nothing else there, one reason on stderr, exit codes 0, 1 and 2."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import ManagementUtility
from django.db import connections
from django.utils import timezone

from apikeys import tokens
from apikeys.models import APIKey, AuditEntry
from apikeys.scopes import Scope
from calliyo.models import Company
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db
CREATE = ("create_api_key", "--name", "Zoho")


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs `manage.py …` as the command line does; gives exit code, stdout and stderr."""
    # A command closes its connection when it ends; here the test's transaction lives in it.
    monkeypatch.setattr(connections, "close_all", lambda: None)

    def run(*arguments):
        code = 0
        try:
            ManagementUtility(["manage.py", *map(str, arguments)]).execute()
        except SystemExit as exit_:
            code = exit_.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


def refused(result, words):
    code, out, err = result
    assert (code, out) == (1, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    return True


def test_a_key_is_created_and_its_token_printed(run):
    code, out, err = run(*CREATE, "--scope", "leads:write", "--scope", "leads:read", "--json")
    key = APIKey.objects.get()
    shown = json.loads(out)
    assert (code, err) == (0, "")
    assert shown == {
        "id": key.pk,
        "name": "Zoho",
        "token": shown["token"],
        "scopes": ["leads:read", "leads:write"],
        "webhook": None,
    }
    assert tokens.digest(shown["token"]) == key.digest
    assert AuditEntry.objects.get().actor_type == "system"


def test_people_get_lines(run):
    code, out, _ = run(*CREATE, "--all-scopes")
    assert code == 0
    assert APIKey.objects.get().scopes == [scope.value for scope in Scope]
    assert APIKey.objects.get().prefix in out


def test_all_options_are_kept(run):
    code, _, _ = run(
        *CREATE,
        *("--scope", "leads:write", "--rate-limit", "0", "--expires", "30d", "--manage-webhooks"),
        *("--allow-address", "203.0.113.0/24", "--allow-origin", "https://www.example.com"),
    )
    key = APIKey.objects.get()
    assert code == 0
    assert (key.rate_limit, key.manage_webhooks) == (0, True)
    assert key.allowed_addresses == ["203.0.113.0/24"]
    assert key.allowed_origins == ["https://www.example.com"]
    assert timedelta(days=29, hours=23) < key.expires_at - timezone.now() <= timedelta(days=30)


def test_an_expiry_may_be_a_time_or_a_day_where_the_company_is(run):
    year = timezone.now().year + 2
    run("create_api_key", "--name", "A", "--expires", f"{year}-05-01T12:00:00+02:00")
    run("create_api_key", "--name", "B", "--expires", f"{year}-05-01")
    zone = ZoneInfo(Company.current().time_zone)
    assert APIKey.objects.get(name="A").expires_at == datetime(year, 5, 1, 10, tzinfo=UTC)
    assert APIKey.objects.get(name="B").expires_at == datetime(year, 5, 1, tzinfo=zone)


def test_a_webhook_comes_with_the_key(run, settings):
    code, out, _ = run(
        *CREATE,
        *("--scope", "leads:read", "--webhook", "https://example.com/hook"),
        *("--event", "lead.created", "--secret", "generate", "--json"),
    )
    webhook = Webhook.objects.get()
    shown = json.loads(out)["webhook"]
    assert code == 0
    assert shown == {
        "id": webhook.pk,
        "url": "https://example.com/hook",
        "secret": shown["secret"],
        "events": ["lead.created"],
    }
    assert shown["secret"].startswith("whsec_")
    assert webhook.api_key == APIKey.objects.get()


def test_all_events_and_no_secret(run):
    _, out, _ = run(*CREATE, "--all-scopes", "--webhook", "https://example.com/", "--all-events", "--json")
    shown = json.loads(out)["webhook"]
    assert shown["secret"] is None
    assert len(shown["events"]) == 9


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--scope", "calls:write"), "calls:write"),
        (("--expires", "soon"), "soon"),
        (("--expires", "2020-01-01"), "future"),
        (("--expires", "2030-02-30"), "2030-02-30"),
        (("--allow-address", "nowhere"), "nowhere"),
        (("--rate-limit", "-5"), "rate limit"),
        (("--webhook", "https://example.com/", "--event", "lead.created"), "leads:read"),
        (("--scope", "leads:read", "--webhook", "not a url", "--event", "lead.created"), ""),
        (("--scope", "leads:read", "--webhook", "https://example.com/", "--event", "lead.gone"), "lead.gone"),
    ],
)
def test_refused_input_exits_1_with_one_line_and_writes_nothing(run, more, words):
    assert refused(run(*CREATE, *more, "--json"), words)
    assert not APIKey.objects.exists()
    assert not Webhook.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_name_that_any_key_has_is_refused(run):
    run(*CREATE)
    assert refused(run("create_api_key", "--name", "zOHO"), "already")
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("create_api_key",),
        (*CREATE, "--rate-limit", "many"),
        (*CREATE, "--webhook", "https://example.com/"),
        (*CREATE, "--event", "lead.created"),
        (*CREATE, "--nonsense"),
        ("deactivate_api_key",),
        ("delete_api_key", "Zoho"),
    ],
)
def test_wrong_usage_exits_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err
    assert not APIKey.objects.exists()


def test_the_companions_do_as_the_pages_buttons(run):
    created = json.loads(run(*CREATE, "--json")[1])
    pk = created["id"]
    assert json.loads(run("deactivate_api_key", pk, "--json")[1]) == {
        "id": pk,
        "name": "Zoho",
        "active": False,
    }
    assert not APIKey.objects.get().active
    assert json.loads(run("activate_api_key", pk, "--json")[1]) == {"id": pk, "name": "Zoho", "active": True}
    again = json.loads(run("regenerate_api_key", pk, "--json")[1])
    assert list(again) == ["id", "name", "token"]
    assert again["token"] != created["token"]
    assert APIKey.objects.get().digest == tokens.digest(again["token"])
    assert run("delete_api_key", pk)[0] == 0
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("command", ["deactivate", "activate", "regenerate", "delete"])
@pytest.mark.parametrize("pk", ["999", "99999999999999999999999"])
def test_an_unknown_key_is_refused(run, command, pk):
    assert refused(run(f"{command}_api_key", pk), f"There is no API key {pk}.")


@pytest.mark.parametrize("command", ["create", "deactivate", "activate", "regenerate", "delete"])
def test_every_command_has_help(run, command):
    code, out, _ = run(f"{command}_api_key", "--help")
    assert code == 0
    assert "--json" in out
