"""Lists whose pages are under way while connections are cut: an answer is the right one or a 503, never another's."""

import random
import threading
from collections import Counter
from typing import Self

import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection
from redis import Redis

from apikeys.operations import activate_key, deactivate_key
from leads.models import LeadStatus
from tests.clients import public_client
from tests.leads.factories import LeadFactory, UserFactory
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
READERS, CUTS, PATIENCE = 6, 30, 30
# By path: what each row has that the rows of the others have not, and how many there are.
LISTS = {
    "leads?limit=7": ("first_name", 7),
    "leads?limit=9&ordering=-updated_at": ("first_name", 9),
    "lead-statuses": ("protected", None),
    "users?limit=3": ("employee_code", 3),
}
_CUT_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def cut_all(redis):
    """All but this one, of this test's own database: other tests use the server, too. How many it were."""
    own = redis.client_info()
    others = [
        client["id"]
        for client in redis.client_list(_type="normal")
        if int(client["db"]) == own["db"] and int(client["id"]) != own["id"]
    ]
    return sum(redis.client_kill_filter(_id=each) for each in others)


class Readers:
    """Threads that read lists with a few keys, and look at each answer."""

    def __init__(self, address: str) -> None:
        self._address, self._stop = address, threading.Event()
        # With and without a limit, which is awaited beside the page.
        scopes = ("leads:read", "lead-statuses:read", "users:read")
        self._keys = [public_client(*scopes, rate_limit=rate) for rate in (0, 1_000_000)]
        self._counts = {path: count or LeadStatus.objects.count() for path, (_, count) in LISTS.items()}
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in range(READERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self, number):
        chance, session = random.Random(number), requests.Session()
        while not self._stop.is_set():
            path, key = chance.choice(list(LISTS)), chance.choice(self._keys)
            headers = {"Authorization": f"Bearer {key.token}"}
            answer = session.get(f"{self._address}/public/{path}", headers=headers, timeout=PATIENCE)
            self.statuses[answer.status_code] += 1
            member, _ = LISTS[path]
            if answer.status_code == 200:
                rows = answer.json()["results"]
                if len(rows) != self._counts[path] or not all(member in row for row in rows):
                    self.wrong.append(f"{path}: {answer.text[:500]}")
            elif answer.status_code != 503:
                self.wrong.append(f"{path}: {answer.status_code} {answer.text[:500]}")


def test_pages_under_way_while_connections_are_cut_are_right_or_a_503(start_web):
    for _ in range(10):
        LeadFactory(owner=UserFactory())
    web = start_web()
    fickle = public_client("leads:read")

    def ask():
        headers = {"Authorization": f"Bearer {fickle.token}"}
        return requests.get(f"{web.address}/public/leads", headers=headers, timeout=PATIENCE)

    redis = Redis.from_url(settings.CACHES["default"]["LOCATION"])
    dsn, cut = connection.connection.info.dsn, 0
    with Readers(web.address) as readers, psycopg.connect(dsn, autocommit=True) as other:
        for _ in range(CUTS):
            deactivate_key(key=fickle.key)
            answer = ask()
            assert answer.status_code == 503 or answer.json()["code"] == "key_inactive", answer.text
            activate_key(key=fickle.key)
            assert ask().status_code in {200, 503}
            connection.close()
            other.execute(_CUT_ALL)
            cut += cut_all(redis)
            wanted = readers.statuses[200] + 2 * READERS
            wait_until(lambda wanted=wanted: readers.statuses[200] >= wanted)
    assert readers.wrong == [] and cut > CUTS / 2
    assert [ask().status_code for _ in range(20)] == [200] * 20
