"""The settings: what is unsafe or wrong stops the start, with a line for each; the embedded default needs nothing."""

import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from tests.processes import ROOT

PRODUCTION = {
    "DATABASE_URL": "postgres://calliyo@127.0.0.1:1/calliyo",
    "BASE_URL": "https://crm.example.com",
    "ALLOWED_HOSTS": "crm.example.com",
    "SECRET_KEY": "s" * 50,
    "CALLIYO_FIELD_KEYS": Fernet.generate_key().decode(),
}


@pytest.fixture
def start(tmp_path):
    """Reads the settings in a process of its own, in just this environment, and prints an expression of them."""

    def run(expression: str = "0", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", f"from calliyo import settings as s; print({expression})"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "CALLIYO_DATA_DIR": str(tmp_path / "data"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    return run


def test_production_does_not_start_without_its_secrets_and_hosts(start):
    done = start(DATABASE_URL=PRODUCTION["DATABASE_URL"])
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "calliyo: ALLOWED_HOSTS must name the host names that Calliyo answers to, comma-separated.",
        "calliyo: SECRET_KEY must be set to at least 32 random characters.",
        "calliyo: CALLIYO_FIELD_KEYS must hold at least one Fernet key: it encrypts webhook secrets at rest.",
    ]


def test_each_wrong_value_is_refused_in_a_line_and_all_at_once(start):
    wrong = {
        "DEBUG": "on",
        "SECRET_KEY": "short",
        "ALLOWED_HOSTS": "*",
        "CALLIYO_FIELD_KEYS": f"{PRODUCTION['CALLIYO_FIELD_KEYS']},abc",
        "BASE_URL": "crm.example.com",
        "PORT": "eighty",
        "TIME_ZONE": "Mars/Olympus",
        "CALLIYO_WEBHOOK_TIMEOUT": "nan",
        "CALLIYO_WEBHOOK_RETRY_SCHEDULE": "0,soon",
        "CALLIYO_WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8,10.0.0.1/8",
        "CALLIYO_TRUSTED_PROXIES": "proxy",
    }
    done = start(**{**PRODUCTION, **wrong})
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == len(wrong)
    for told in (
        "PORT must be a number",
        "BASE_URL must be an http or https address",
        "DEBUG must be off in production",
        "ALLOWED_HOSTS must name hosts",
        "SECRET_KEY must be set to at least 32",
        "CALLIYO_FIELD_KEYS: key 2 is not a Fernet key",
        "TIME_ZONE: there is no time zone 'Mars/Olympus'",
        "CALLIYO_WEBHOOK_TIMEOUT must be seconds",
        "CALLIYO_WEBHOOK_RETRY_SCHEDULE must be waits",
        "CALLIYO_WEBHOOK_ALLOWED_NETWORKS: '10.0.0.1/8' is not a network",
        "CALLIYO_TRUSTED_PROXIES: 'proxy' is not a network",
    ):
        assert sum(told in line for line in lines) == 1, told


def test_another_database_than_the_two_is_refused(start):
    done = start(**{**PRODUCTION, "DATABASE_URL": "mysql://root@127.0.0.1/calliyo"})
    assert done.returncode == 1
    assert "DATABASE_URL must name PostgreSQL" in done.stderr


def test_production_starts_with_what_it_needs_and_generates_nothing(start, tmp_path):
    assert start(**PRODUCTION).returncode == 0
    assert not list(tmp_path.rglob("*_key"))


def test_the_scheme_of_the_address_decides_cookies_hsts_and_redirect(start):
    expression = (
        "s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS > 0, s.SECURE_SSL_REDIRECT"
    )
    assert start(expression, **PRODUCTION).stdout.strip() == "True True True True"
    plain = {**PRODUCTION, "BASE_URL": "http://crm.example.com"}
    assert start(expression, **plain).stdout.strip() == "False False False False"


def test_the_embedded_default_keeps_its_secrets_for_its_owner_alone(start, tmp_path):
    first = start("s.SECRET_KEY, s.CALLIYO_FIELD_KEYS, s.DEBUG")
    assert first.returncode == 0
    assert first.stdout == start("s.SECRET_KEY, s.CALLIYO_FIELD_KEYS, s.DEBUG").stdout
    assert first.stdout.strip().endswith("False")
    data = tmp_path / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    assert [(data / name).stat().st_mode & 0o777 for name in ("secret_key", "field_key")] == [0o600, 0o600]


def test_webhooks_reach_no_private_network_unless_told_so(start):
    assert start("s.CALLIYO_WEBHOOK_ALLOWED_NETWORKS").stdout.strip() == "[]"


def test_mail_goes_by_the_server_that_is_named_and_is_shown_or_left_out_without_one(start):
    asked = "s.EMAIL_BACKEND, s.EMAIL_PORT, s.DEFAULT_FROM_EMAIL"
    assert start(asked).stdout.split() == [
        "django.core.mail.backends.console.EmailBackend",
        "25",
        "calliyo@127.0.0.1",
    ]
    assert (
        start("s.EMAIL_BACKEND", **PRODUCTION).stdout.strip()
        == "django.core.mail.backends.dummy.EmailBackend"
    )
    server = {
        "EMAIL_HOST": "mail.example.com",
        "EMAIL_USE_TLS": "",
        "DEFAULT_FROM_EMAIL": "",
        "EMAIL_PORT": "",
    }
    assert start(asked, **PRODUCTION, **server).stdout.split() == [
        "django.core.mail.backends.smtp.EmailBackend",
        "587",
        "calliyo@crm.example.com",
    ]
    both = start(EMAIL_HOST="mail.example.com", EMAIL_USE_TLS="on", EMAIL_USE_SSL="on")
    assert (
        both.returncode == 1
        and both.stderr == "calliyo: EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other.\n"
    )
