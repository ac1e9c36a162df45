"""`listen` and `send_test_event`, as people and scripts run them."""

import json
import signal
import socket
import subprocess
import sys
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.processes import ROOT, Answer, environment_of_processes
from tests.servers import free_port
from tests.webhooks.engines import new_webhook
from webhooks.operations import change_webhook, reveal_secret, send_test_event

pytestmark = pytest.mark.django_db

SECRET = "sixteen letters!"


@pytest.fixture
def start_listen():
    running = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        port = free_port()
        # As from a terminal: a script in the background has Ctrl-C ignored, and so would what it starts.
        heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "manage.py", "listen", "--port", str(port), *arguments],
            cwd=ROOT, env=environment_of_processes(COLUMNS="200"), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        signal.signal(signal.SIGINT, heeded)
        running.append(process)
        _wait_for(port)
        return process, f"http://127.0.0.1:{port}/hook"

    yield start
    for process in running:
        process.kill()
        process.communicate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("listen never listened")


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it has said, once Ctrl-C has ended it without an error."""
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (0, "")
    return out, error


def test_listen_verifies_both_signatures_and_shows_what_came(start_listen) -> None:
    process, url = start_listen("--secret", SECRET)
    webhook = new_webhook(url, secret=SECRET)
    assert send_test_event(webhook=webhook, event_type="lead.status_changed").succeeded
    change_webhook(webhook=webhook, secret="another one, longer")
    webhook.refresh_from_db()
    send_test_event(webhook=webhook)
    change_webhook(webhook=webhook, secret=None)
    webhook.refresh_from_db()
    send_test_event(webhook=webhook)
    out, _ = ended(process)
    assert "Listening on http://127.0.0.1:" in out and "No longer listening." in out
    assert "lead.status_changed  evt_" in out and "ms after it happened" in out
    assert "X-Calliyo-Signature verified  webhook-signature verified" in out
    assert "X-Calliyo-Signature wrong  webhook-signature wrong" in out
    assert "unsigned: this webhook has no secret" in out
    assert '"first_name": "Asha"' in out


def test_listen_as_json_is_one_object_a_line_and_answers_as_told(start_listen) -> None:
    process, url = start_listen("--json", "--status", "503", "--delay", "0.3")
    webhook = new_webhook(url, secret="generate")
    result = send_test_event(webhook=webhook)
    send_test_event(webhook=webhook, event_type="note.added")
    assert result.status == 503 and result.timings.total >= 0.3
    out, _ = ended(process)
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["event"], second["event"]) == ("lead.created", "note.added")
    assert first["id"].startswith("evt_") and first["body"]["data"]["lead"]["id"] == 1042
    assert (first["calliyo_signature"], first["standard_signature"], first["trusted"]) == (
        "unverified", "unverified", False,
    )  # fmt: skip
    assert 0 <= first["lag_ms"] < 5000 and first["answered"] == 503


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--secret", "short"], 1, "at least 16"),
        (["--status", "99"], 2, "--status"),
        (["--delay", "-1"], 2, "--delay"),
        (["--port", "70000"], 2, "--port"),
    ],
)
def test_listen_refuses_what_it_can_not_do(arguments: list[str], status: int, reason: str) -> None:
    with pytest.raises(CommandError, match=reason) as refusal:
        call_command("listen", *arguments)
    assert refusal.value.returncode == status


def test_listen_says_when_its_port_is_taken(receiver) -> None:
    with pytest.raises(CommandError, match="can't be listened on"):
        call_command("listen", "--port", str(receiver.port))


def test_send_test_event_prints_the_answer(receiver) -> None:
    webhook = new_webhook(receiver.url, secret="generate")
    receiver.answer_next(
        Answer(status=201, body=b"thank you", headers={"X-Receiver": "n8n"}), Answer(status=500)
    )
    out = StringIO()
    call_command("send_test_event", "--webhook", str(webhook.pk), "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert (answer["succeeded"], answer["status"], answer["body"]) == (True, 201, "thank you")
    assert answer["headers"]["X-Receiver"] == "n8n" and answer["error"] is None
    out = StringIO()
    call_command("send_test_event", "--webhook", str(webhook.pk), "--event", "note.added", stdout=out)
    assert "note.added to" in out.getvalue() and "failed: the endpoint answered 500" in out.getvalue()
    assert reveal_secret(webhook) not in out.getvalue()


def test_send_test_event_refuses_a_webhook_that_is_not_there() -> None:
    with pytest.raises(CommandError, match="no webhook 99") as refusal:
        call_command("send_test_event", "--webhook", "99")
    assert refusal.value.returncode == 1
