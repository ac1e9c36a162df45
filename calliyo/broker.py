"""The embedded Celery broker: kombu's file-system transport, made safe for several processes at once.

kombu's own writes each message in place, so that readers take half-written files (and end over them), and
looks once a second. Here a file is written under a draft's name and renamed, so it is whole once it is seen;
who unlinks it owns it. A message is only a poke (the database is the truth), so old ones are swept away.
"""

import fcntl
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any
from urllib.parse import quote

from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.transport.virtual.base import BrokerState
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)

SCHEME = "embedded"
URL = f"{SCHEME}://localhost"
OLDEST_MESSAGE = 3600.0  # seconds; no worker ran for so long: sweeps find what these would have told
OLDEST_DRAFT = 60.0
PUTS_BETWEEN_SWEEPS = 256

TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def transport_options(folder: Path) -> dict[str, Any]:
    """What Celery needs to be told to use `folder`, which is made here, readable by its owner alone."""
    messages, control = folder / "messages", folder / "control"
    for path in (messages, control):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": 0.05,
    }


class Channel(filesystem.Channel):
    """Messages are files `<time>_<uuid>.<queue>.msg`; an exchange's table of queues is a file as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listed: dict[str, deque[str]] = {}
        self._puts = 0

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override] # kombu's own differs
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        _write_whole(Path(self.data_folder_out, name), dumps(message))
        self._puts += 1
        if self._puts % PUTS_BETWEEN_SWEEPS == 0:
            self._sweep()

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        # One listing serves all its files: listing for each message is quadratic in a backlog.
        listed = self._listed.setdefault(queue, deque())
        if not listed:
            listed.extend(sorted(_messages(self.data_folder_in, queue)))
        while listed:
            path = Path(self.data_folder_in, listed.popleft())
            try:
                text = path.read_text()
                path.unlink()
            except FileNotFoundError:
                continue  # another worker was first
            try:
                return loads(text)
            except ValueError:
                # A power cut can leave an empty file; raising here would end the worker.
                logger.warning("A broken message file was dropped: %s", path.name)
        raise Empty

    def _purge(self, queue: str) -> int:
        names = list(_messages(self.data_folder_in, queue))
        for name in names:
            Path(self.data_folder_in, name).unlink(missing_ok=True)
        return len(names)

    def get_table(  # type: ignore[override] # the stubs contradict each other
        self, exchange: str
    ) -> list[filesystem.exchange_queue_t]:
        """The queues that are bound to `exchange`; read without a lock, since the file is replaced whole."""
        try:
            text = self._table_file(exchange).read_text()
        except FileNotFoundError:
            return []
        return [filesystem.exchange_queue_t(*row) for row in loads(text)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        if row in self.get_table(exchange):
            return
        with self._table_to_change(exchange) as table:
            if row not in table:
                table.insert(0, row)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_: Any, **__: Any) -> None:
        self._purge(queue)
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._table_to_change(exchange) as table:
            if row in table:
                table.remove(row)

    def _table_file(self, exchange: str) -> Path:
        return self.control_folder / f"{quote(exchange, safe='')}.exchange"

    @contextmanager
    def _table_to_change(self, exchange: str) -> Iterator[list[filesystem.exchange_queue_t]]:
        file = self._table_file(exchange)
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            table = self.get_table(exchange)
            yield table
            _write_whole(file, dumps(table))

    def _sweep(self) -> None:
        now = time.time()
        with os.scandir(self.data_folder_in) as entries:
            for entry in entries:
                limit = OLDEST_DRAFT if entry.name.endswith(".draft") else OLDEST_MESSAGE
                try:
                    if entry.stat().st_mtime < now - limit:
                        Path(entry.path).unlink()
                except FileNotFoundError:
                    continue  # a worker took it meanwhile


class Transport(filesystem.Transport):
    """`embedded://`, with its folders in the transport options."""

    Channel = Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        # kombu shares what has been declared by all transports of a process, whatever their folders.
        self.state = BrokerState()

    def establish_connection(self) -> Any:
        """Opens the folder; says so when it is gone, as a server that is down would."""
        assert self.client is not None  # noqa: S101 (kombu makes a transport for a client)
        folder = Path((self.client.transport_options or {})["data_folder_out"])
        if not folder.is_dir():
            raise OperationalError(f"The embedded broker's folder is gone: {folder}")
        return super().establish_connection()


def _messages(folder: str, queue: str) -> Iterator[str]:
    ending = f"{queue}.msg"
    return (name for name in os.listdir(folder) if name.partition(".")[2] == ending)


def _write_whole(path: Path, text: str) -> None:
    """Puts `text` at `path` so that nobody ever sees a part of it."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.rename(path)
