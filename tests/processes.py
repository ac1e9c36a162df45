"""Real processes for tests (gunicorn, Celery workers) and a receiver whose answers a test writes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from django.db import connection

PATIENCE = 30.0
ROOT = Path(__file__).resolve().parent.parent


def wait_until(claim: Callable[[], Any], *, seconds: float = PATIENCE, every: float = 0.02) -> Any:
    """What `claim` says once it holds; an AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = claim()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"It did not come true within {seconds} s.")
        time.sleep(every)


def environment_of_processes(**changes: str) -> dict[str, str]:
    """The environment in which another process sees this test's database, broker and data."""
    database = connection.settings_dict
    name = str(database["NAME"])
    if connection.vendor == "sqlite":
        url = f"sqlite:///{name}"
    else:
        url = f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{name}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": url,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
        **changes,
    }


@dataclass(kw_only=True)
class RunningProcess:
    """A process in a session of its own, with what it has said so far."""

    popen: subprocess.Popen[bytes]
    log: Path
    address: str = ""  # where a web server listens

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.popen.pid

    def wait_for_output(self, text: str, *, seconds: float = PATIENCE) -> None:
        """Waits until it has said `text`; shows all it said when it does not, or ends instead."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"It never said {text!r} (status {self.popen.poll()}):\n{self.output}")
            time.sleep(0.05)

    def stop(self, *, seconds: float = 15.0) -> int:
        """Asks it to end, makes it end after so long; its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                return self.popen.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.wait()

    def kill(self) -> None:
        """`kill -9` of it and of all that it has started."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.popen.wait()


def start_process(module: str, *arguments: str, log: Path, environment: Mapping[str, str]) -> RunningProcess:
    """`python -m module arguments`, which writes to `log`."""
    with log.open("wb") as file:
        popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env=dict(environment),
            start_new_session=True,
        )
    return RunningProcess(popen=popen, log=log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float  # time.time() once its body was read


@dataclass(slots=True, kw_only=True)
class Answer:
    """What the receiver says to one request, after `delay` seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0


Script = Callable[[Received], Answer]


class Receiver:
    """An HTTP server in threads of this process. It answers 200 until told otherwise, and keeps all requests.

    `answer_next(…)` queues answers for the next requests; `answer_by(function)` decides for each.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self._changed = threading.Condition()
        self._queued: deque[Answer] = deque()
        self._script: Script = lambda _received: Answer()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def answer_next(self, *answers: Answer) -> None:
        self._queued.extend(answers)

    def answer_by(self, script: Script) -> None:
        self._script = script

    def wait_for(self, count: int, *, seconds: float = PATIENCE) -> list[Received]:
        """All requests, once there are at least so many."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout=seconds):
                raise AssertionError(f"{len(self.requests)} of {count} requests came within {seconds} s.")
            return list(self.requests)

    def stays_at(self, count: int, *, seconds: float) -> None:
        """Proves that no more than `count` come in the next seconds."""
        with self._changed:
            if self._changed.wait_for(lambda: len(self.requests) > count, timeout=seconds):
                raise AssertionError(f"More than {count} requests came.")

    def take(self, received: Received) -> Answer:
        """Keeps the request; the answer that is due to it."""
        with self._changed:
            self.requests.append(received)
            self._changed.notify_all()
            queued = self._queued.popleft() if self._queued else None
        return queued or self._script(received)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a scripted delay outlives no test
    request_queue_size = 128

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hung up is no news: tests kill them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.receiver.take(
            Received(method=self.command, path=self.path, headers=headers, body=body, at=time.time())
        )
        time.sleep(answer.delay)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (http.server looks for these names)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at `requests`."""


def stop_all(processes: Iterable[RunningProcess]) -> None:
    """Ends them one after the other."""
    for process in processes:
        process.stop(seconds=8.0)
        process.kill()
