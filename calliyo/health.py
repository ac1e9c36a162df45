"""`/healthz`: does this process reach its database, and its broker?"""

import logging
import threading
import time
from http import HTTPStatus

from django.db import Error, connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calliyo.broker_link import Link

logger = logging.getLogger(__name__)

FRESH = 5.0  # seconds that an answer about the broker is good for
PATIENCE = 1.0  # seconds that a request waits for it


class BrokerCheck:
    """Asks the broker in a thread of its own: one that hangs holds no request longer than `PATIENCE`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answered = False
        self._answered_at = -FRESH

    def broker_is_up(self) -> bool:
        """What the broker said in the last few seconds; false while it says nothing."""
        with self._lock:
            if time.monotonic() - self._answered_at < FRESH:
                return self._answered
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._ask, name="broker-check", daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(PATIENCE)
        return self._answered and not thread.is_alive()

    def _ask(self) -> None:
        try:
            Link().close()
        except Exception as error:  # noqa: BLE001 (whatever the driver raises means the same here)
            logger.warning("The broker does not answer: %r", error)
            self._answered = False
        else:
            self._answered = True
        self._answered_at = time.monotonic()


_broker_check = BrokerCheck()


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponseBase:
    """200 with a database, 503 without: a broker that is down delays nothing but wake-ups."""
    broker = "ok" if _broker_check.broker_is_up() else "down"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        logger.warning("The database does not answer: %r", error)
        return JsonResponse({"database": "down", "broker": broker}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse({"database": "ok", "broker": broker})
