"""What every test stands on: no way out of this machine, and fixtures for real processes.

`celery_worker`, `web_server`: Calliyo's own processes on the test's database and broker, whichever those are.
`start_worker(**environment)`, `start_web(**environment)`: more of them, or with other settings.
`receiver`: an HTTP server whose answers the test writes (see `tests.processes.Receiver`).
"""

import sys
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
import time_machine
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from hypothesis import settings

from apikeys.slots import SLOTS
from apikeys.tally import TALLY
from apikeys.throttling import BUCKETS, LocalBuckets
from calliyo.celery import app as celery_app
from leads.api import pace
from tests import languages
from tests.clients import public_client
from tests.processes import (
    Receiver,
    environment_of_processes,
    start_process,
    stop_all,
)
from tests.servers import free_port
from webhooks.api import events as events_api
from webhooks.feed.waiting import Watcher

# A busy machine takes longer for an example now and then, which says nothing of the code.
settings.register_profile("calliyo", deadline=None)
settings.load_profile("calliyo")

LOCAL_NAMES = {"localhost", "", None}


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in LOCAL_NAMES:
        return True
    try:
        return ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_the_world(event: str, args: tuple[object, ...]) -> None:
    """An audit hook, so that no way round it is left open: no test talks to anything but this machine."""
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise RuntimeError(f"A test tried to connect to {address!r}.")
    if event == "socket.getaddrinfo" and not _is_local(args[0]):
        raise RuntimeError(f"A test tried to look up {args[0]!r}.")


sys.addaudithook(_refuse_the_world)
# A thread that writes in between would be no test's own; processes that tests start have theirs.
TALLY.by_thread = False


def pytest_report_header() -> str:
    return languages.report()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Keeps what migrations wrote. pytest-django does so itself only for tests that say it in their marker."""
    with django_db_blocker.unblock():
        connection._test_serialized_contents = connection.creation.serialize_db_to_string()


@pytest.fixture(autouse=True)
def what_migrations_wrote(django_db_serialized_rollback):
    """The ten statuses and the like are there again after a test that commits; such tests empty the tables."""


@pytest.fixture(autouse=True)
def empty_cache():
    """Rate limits and the like start anew with each test."""
    cache.clear()
    ContentType.objects.clear_cache()  # a test that is rolled back takes with it what it made of them
    TALLY.clear()
    SLOTS.clear()
    if isinstance(BUCKETS, LocalBuckets):
        BUCKETS.clear()


@pytest.fixture(autouse=True)
def silent_answers_at_once(monkeypatch):
    """A key that may only write waits for its answers in real life; here only where that is what is tested."""
    monkeypatch.setattr(pace, "sleep", lambda _seconds: None)


@pytest.fixture
def client_with(db):
    """`client_with("leads:read")`: a client of the public API whose fresh key has these scopes."""
    return public_client


@pytest.fixture
def watcher(monkeypatch):
    """What readers who wait for events wait for, in this test's process alone."""
    own = Watcher(per_process=4)
    monkeypatch.setattr(events_api, "WATCHER", own)
    yield own
    own.close()
    own.join()


@pytest.fixture
def mid_step():
    """Time stands still in the middle of a step of 30 seconds, so that a code is never late by chance."""
    now = datetime.now(UTC).replace(microsecond=0)
    with time_machine.travel(now.replace(second=now.second // 30 * 30 + 15), tick=False):
        yield


@pytest.fixture
def receiver():
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def start_worker(transactional_db, tmp_path):
    """Starts a Celery worker, as the Procfile does, and waits until it takes tasks."""
    running = []
    with celery_app.connection_for_write() as broker:
        celery_app.control.purge(broker)  # wake-ups of earlier tests would be taken first

    def start(**environment: str):
        worker = start_process(
            "celery", "--app", "calliyo.celery", "worker", "--concurrency", "1",
            "--without-gossip", "--without-mingle", "--hostname", f"worker{len(running)}-{free_port()}@test",
            log=tmp_path / f"worker-{len(running)}.log", environment=environment_of_processes(**environment),
        )  # fmt: skip
        running.append(worker)
        worker.wait_for_output("worker.ready")
        return worker

    yield start
    stop_all(running)


@pytest.fixture
def celery_worker(start_worker):
    return start_worker()


@pytest.fixture
def start_web(transactional_db, tmp_path):
    """Starts gunicorn, as the Procfile does, and waits until it listens; its `address` is `http://127.0.0.1:…`."""
    running = []

    def start(**environment: str):
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        web = start_process(
            "gunicorn", "calliyo.wsgi", "--preload", "--bind", f"127.0.0.1:{port}",
            "--worker-class", "gthread", "--workers", "1", "--threads", "8", "--no-control-socket",
            log=tmp_path / f"web-{len(running)}.log",
            environment=environment_of_processes(PORT=str(port), BASE_URL=address, WEB_THREADS="8", **environment),
        )  # fmt: skip
        web.address = address
        running.append(web)
        web.wait_for_output("Booting worker")
        return web

    yield start
    stop_all(running)


@pytest.fixture
def web_server(start_web):
    return start_web()
