"""One connection to the Celery broker that fails within seconds instead of waiting for ever.

Celery's own pool of producers retries, and waits without limit for a broker that accepts and then is silent.
"""

from collections.abc import Sequence
from typing import Any

from calliyo.celery import app

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0
KEPT_SECONDS = 60.0
"""By the broker's own clock, where it has one for messages (RabbitMQ): what they tell is then found by sweeps."""
MOST_WAITING = 10_000
"""Where so many messages wait, no worker takes any: more would only fill the broker."""
SENT_BETWEEN_LOOKS = 100
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
            self._channel: Any = self._connection.channel()
            self._producer = app.amqp.Producer(self._channel)
        except BaseException:
            self.close()
            raise
        self._sent = 0
        self._full = False

    def send(self, task: str, args: Sequence[object]) -> None:
        """Sends one task message, unless far too many wait already; nobody looks for its result.

        Without Celery's `expires`: that is a time by our clock, and a worker whose own clock is a minute ahead throws
        away whatever it is sent.
        """
        if self._sent % SENT_BETWEEN_LOOKS == 0:
            self._full = self._waiting() >= MOST_WAITING
        self._sent += 1
        if not self._full:
            app.send_task(
                task,
                args=args,
                expiration=KEPT_SECONDS,
                producer=self._producer,
                retry=False,
                ignore_result=True,
            )

    def _waiting(self) -> int:
        queue = app.amqp.queues[app.conf.task_default_queue]
        declared = self._channel.queue_declare(
            queue.name, durable=queue.durable, exclusive=queue.exclusive, auto_delete=queue.auto_delete
        )
        return int(declared.message_count)

    def close(self) -> None:
        """Ends the connection, broken or not."""
        self._connection.release()
