"""Throw-away PostgreSQL and Redis, for the tests on real services and for the benchmarks."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from cryptography.fernet import Fernet

PATIENCE = 30.0
FAST_AND_FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class MissingServerError(Exception):
    """A program that is needed is not installed; the text says which, and how to get it."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on this port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(name: str, package: str, *, beside: str = "") -> str:
    """Where `name` is; `beside` is a pattern of folders that are not on the path (Debian's PostgreSQL)."""
    found = shutil.which(name)
    if found is None and beside:
        folders = sorted(Path("/").glob(beside), key=lambda folder: folder.stat().st_mtime)
        found = next((str(folder / name) for folder in reversed(folders) if (folder / name).exists()), None)
    if found is None:
        raise MissingServerError(f"{name} is not installed (apt-get install {package}).")
    return found


def chromium() -> str:
    """Where the browser is."""
    return shutil.which("chromium-browser") or program("chromium", "chromium")


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="calliyo-server-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_user() -> str | None:
    """Whom PostgreSQL runs as: it refuses root, and needs nobody else."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with status {process.returncode} before it listened.")
        if listens(port):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{name} did not listen within {PATIENCE:.0f} s.")


@dataclass(kw_only=True)
class Server:
    """A server of a test's own, which the test may kill, and start again at the same address."""

    name: str
    url: str
    port: int
    command: list[str]
    folder: Path
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, user=self.user, cwd=self.folder, start_new_session=True
            )
        _wait_for(self.port, self.process, self.name)
        if self.name == "postgresql":
            self._wait_until_it_has_recovered()

    def _wait_until_it_has_recovered(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def end(self, number: int) -> None:
        """Sends the signal and waits until it has ended."""
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def crash(self) -> None:
        """Ends it without a farewell to anybody: PostgreSQL's immediate shutdown, `kill -9` for the others."""
        self.end(signal.SIGQUIT if self.name == "postgresql" else signal.SIGKILL)


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.end(signal.SIGINT)  # PostgreSQL's fast shutdown; Redis ends as well


@contextmanager
def mortal_postgresql(*options: str) -> Iterator[Server]:
    """A PostgreSQL of its own. `options` are settings (`fsync=off`)."""
    folder_of_programs = "usr/lib/postgresql/*/bin"
    initdb = program("initdb", "postgresql", beside=folder_of_programs)
    server = program("postgres", "postgresql", beside=folder_of_programs)
    user, port = _server_user(), free_port()
    with _folder(user) as folder:
        data = folder / "data"
        subprocess.run(
            [initdb, "--pgdata", str(data), "--username", "calliyo", "--auth", "trust",
             "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        settings = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}",
                    "max_connections=200", "shared_buffers=128MB", *options]  # fmt: skip
        command = [server, "-D", str(data), *(part for setting in settings for part in ("-c", setting))]
        url = f"postgres://calliyo@127.0.0.1:{port}/postgres"
        with _running(
            Server(name="postgresql", url=url, port=port, command=command, folder=folder, user=user)
        ) as running:
            yield running


@contextmanager
def postgresql(*options: str) -> Iterator[str]:
    """A PostgreSQL of its own; yields its URL. `options` are settings (`fsync=off`)."""
    with mortal_postgresql(*options) as server:
        yield server.url


@contextmanager
def mortal_redis() -> Iterator[Server]:
    """A Redis of its own that keeps nothing; its URL is without a database number."""
    program_path, port = program("redis-server", "redis-server"), free_port()
    with _folder(None) as folder:
        command = [
            program_path,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        url = f"redis://127.0.0.1:{port}"
        with _running(Server(name="redis", url=url, port=port, command=command, folder=folder)) as running:
            yield running


@contextmanager
def redis() -> Iterator[str]:
    """A Redis of its own that keeps nothing; yields its URL without a database number."""
    with mortal_redis() as server:
        yield server.url


@contextmanager
def services(*postgresql_options: str) -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis; yields the environment in which Calliyo runs on them as in production."""
    with ExitStack() as stack:
        database_url = stack.enter_context(postgresql(*postgresql_options))
        redis_url = stack.enter_context(redis())
        yield {
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": f"{redis_url}/0",
            "CACHE_URL": f"{redis_url}/1",
            "CALLIYO_TESTS_REDIS": redis_url,
            "SECRET_KEY": secrets.token_urlsafe(64),
            "CALLIYO_FIELD_KEYS": Fernet.generate_key().decode(),
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
        }
