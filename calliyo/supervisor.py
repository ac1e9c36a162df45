"""Runs the Procfile's processes in the foreground, for `make run`: one that ends is started again.

Production starts the same lines with its own process manager. Only the standard library: this is how a person
meets Calliyo, so it has to work wherever Python does.
"""

import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import IO

STOP_PATIENCE = 25.0  # seconds from the polite signal to the one that cannot be refused
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
LONG_ENOUGH = 30.0  # a process that lived so long had no trouble starting: its next wait is short again
COLOURS = ("36", "33", "35", "32", "34")
_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(\S.*)$")


def wait_before_restart(*, failures: int) -> float:
    """Seconds to wait after the n-th short life in a row: twice as long each time, up to half a minute."""
    return min(FIRST_WAIT * 2.0 ** (failures - 1), LONGEST_WAIT)


def read_procfile(text: str) -> dict[str, str]:
    """The command of each process name; blank lines and comments are left out."""
    commands = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"Procfile: not a process: {line!r}")
        commands[match[1]] = match[2]
    return commands


@dataclass(kw_only=True)
class Process:
    """One line of the Procfile, whether it runs at the moment or not."""

    name: str
    command: str
    running: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0  # when it is to be started (again)
    failures: int = 0
    partial: bytes = field(default=b"", repr=False)

    def start(self) -> IO[bytes]:
        """Starts it in a session of its own, so that Ctrl-C in the terminal reaches it only through us."""
        self.started_at = time.monotonic()
        self.running = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self.command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.running.stdout is not None  # noqa: S101 (a pipe was asked for)
        return self.running.stdout

    def ended(self, now: float) -> int:
        """Notes that it has ended, and when it is to come back; its exit status."""
        assert self.running is not None  # noqa: S101 (only a running one ends)
        status = self.running.wait()
        if self.running.stdout is not None:
            self.running.stdout.close()
        self.failures = 1 if now - self.started_at >= LONG_ENOUGH else self.failures + 1
        self.start_at = now + wait_before_restart(failures=self.failures)
        self.running = None
        return status

    def signal(self, number: signal.Signals) -> None:
        """Asks it to end; what it has started is its own business."""
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(number)

    def kill_all(self) -> None:
        """Ends it and all that it has started, at once."""
        if self.running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)

    def kill_orphans(self) -> None:
        """After a violent death: what it had started would hold its port and its output open."""
        if self.running is not None and self.running.poll() is not None:
            self.kill_all()


class Supervisor:
    """Keeps the processes running until it is told to stop."""

    def __init__(self, commands: dict[str, str]) -> None:
        self.processes = [Process(name=name, command=command) for name, command in commands.items()]
        self._width = max(map(len, commands))
        self._selector = selectors.DefaultSelector()
        self._asked_to_stop = 0  # written by the signal handler, which does nothing else
        self._stopping_since: float | None = None
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def run(self) -> None:
        """Returns once all processes have ended after SIGINT, SIGTERM or SIGHUP."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_request)
        try:
            while self._stopping_since is None or any(process.running for process in self.processes):
                self._turn()
        finally:
            # Whatever went wrong here: what runs in sessions of its own would live on, and hold the port.
            for process in self.processes:
                process.kill_all()

    def _turn(self) -> None:
        if self._asked_to_stop:
            self._go_on_stopping(time.monotonic())
        else:
            self._start_due(time.monotonic())
        for key, _events in self._selector.select(timeout=0.2):
            self._read(key.data, key.fd)
        for process in self.processes:
            process.kill_orphans()

    def _note_request(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_stop += 1

    def _go_on_stopping(self, now: float) -> None:
        if self._stopping_since is None:
            self._stopping_since = now
            self._say("\nStopping …")
            for process in self.processes:
                process.signal(signal.SIGTERM)
        # Asked twice: whoever asks does not want to wait.
        elif self._asked_to_stop > 1 or now - self._stopping_since >= STOP_PATIENCE:
            for process in self.processes:
                process.kill_all()

    def _start_due(self, now: float) -> None:
        for process in self.processes:
            if process.running is None and process.start_at <= now:
                self._selector.register(process.start(), selectors.EVENT_READ, process)

    def _read(self, process: Process, descriptor: int) -> None:
        data = os.read(descriptor, 65_536)
        *lines, process.partial = (process.partial + data).split(b"\n")
        for line in lines:
            self._print(process, line.decode(errors="replace"))
        if not data:
            # The end of its output is the end of the process and of all that wrote with it.
            self._selector.unregister(descriptor)
            status = process.ended(time.monotonic())
            if self._stopping_since is None:
                wait = process.start_at - time.monotonic()
                self._print(process, f"ended with status {status}; it starts again in {wait:.1f} s")

    def _print(self, process: Process, line: str) -> None:
        prefix = f"{process.name:<{self._width}} │"
        if self._colours:
            colour = COLOURS[self.processes.index(process) % len(COLOURS)]
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self._say(f"{prefix} {line}")

    def _say(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError:
            # The terminal has gone, or who read our output: nobody is left to stop this later.
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (open until the end)
            self._asked_to_stop = self._asked_to_stop or 1


def announce_when_ready(address: str) -> None:
    """Prints where to look once `/healthz` answers; meant for a daemon thread."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(f"{address}/healthz", timeout=2):
                break
        except (OSError, HTTPException):
            time.sleep(0.1)
    print(f"\nCalliyo is ready: {address}/settings?tab=api   (Ctrl-C stops it)\n", flush=True)


def port_is_taken(port: int) -> bool:
    """Whether somebody listens there: the new server could not, and the old one would be announced for it."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(arguments: Sequence[str]) -> None:
    """`python -m calliyo.supervisor Procfile`."""
    commands = read_procfile(Path(arguments[0]).read_text(encoding="utf-8"))
    # The commands are those of this interpreter's environment, activated or not.
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    os.environ["PYTHONUNBUFFERED"] = "1"
    port = int(os.environ.get("PORT", "8000"))
    if port_is_taken(port):
        sys.exit(
            f"Port {port} is taken. Stop what listens there, or choose another: make run PORT={port + 1}"
        )
    address = f"http://127.0.0.1:{port}"
    threading.Thread(target=announce_when_ready, args=[address], daemon=True).start()
    Supervisor(commands).run()


if __name__ == "__main__":
    main(sys.argv[1:])
