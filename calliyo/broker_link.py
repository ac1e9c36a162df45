"""One connection to the Celery broker that fails within seconds instead of waiting for ever.

Celery's own pool of producers retries, and waits without limit for a broker that accepts and then is silent.
"""

from collections.abc import Sequence
from typing import Any

from calliyo.celery import app

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0
_LIMITS: dict[str, dict[str, Any]] = {
    "redis": {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_timeout": ANSWER_TIMEOUT},
    "rediss": {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_timeout": ANSWER_TIMEOUT},
    "amqp": {"read_timeout": ANSWER_TIMEOUT, "write_timeout": ANSWER_TIMEOUT},
    "amqps": {"read_timeout": ANSWER_TIMEOUT, "write_timeout": ANSWER_TIMEOUT},
}


class Link:
    """Opened when made, to Celery's broker or the one at `url`; raises what the driver raises.

    Not for several threads.
    """

    def __init__(self, url: str | None = None) -> None:
        scheme = (url or app.conf.broker_url).partition(":")[0]
        self._connection = app.connection_for_write(
            url,
            connect_timeout=CONNECT_TIMEOUT,
            transport_options={**app.conf.broker_transport_options, **_LIMITS.get(scheme, {})},
        )
        try:
            self._connection.connect()
            self._producer = app.amqp.Producer(self._connection.channel())
        except BaseException:
            self.close()
            raise

    def send(self, task: str, args: Sequence[object], *, expires: float) -> None:
        """Sends one task message; nobody looks for its result."""
        app.send_task(
            task, args=args, expires=expires, producer=self._producer, retry=False, ignore_result=True
        )

    def close(self) -> None:
        """Ends the connection, broken or not."""
        self._connection.release()
