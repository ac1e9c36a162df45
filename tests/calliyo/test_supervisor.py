"""`make run`'s process runner: it restarts what ends, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from calliyo.supervisor import read_procfile, wait_before_restart
from tests.processes import ROOT, RunningProcess, wait_until
from tests.servers import free_port


def test_the_procfile_names_a_command_for_each_process():
    text = "# how it runs\nweb: serve --port ${PORT:-8000}\n\nworker:  work: hard\n"
    assert read_procfile(text) == {"web": "serve --port ${PORT:-8000}", "worker": "work: hard"}


def test_a_line_that_is_no_process_is_refused():
    with pytest.raises(ValueError, match="not a process"):
        read_procfile("web serve\n")


def test_our_own_procfile_names_the_three_processes():
    assert list(read_procfile((ROOT / "Procfile").read_text())) == ["web", "worker", "beat"]


def test_the_wait_grows_with_each_failure_and_has_a_limit():
    waits = [wait_before_restart(failures=n) for n in range(1, 9)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@pytest.fixture
def supervise(tmp_path):
    """Runs the supervisor on a Procfile of the test's own; ends it whatever happens."""
    running: list[RunningProcess] = []

    def start(procfile: str) -> RunningProcess:
        (tmp_path / "Procfile").write_text(textwrap.dedent(procfile))
        log = tmp_path / "log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                [sys.executable, "-m", "calliyo.supervisor", str(tmp_path / "Procfile")],
                stdout=file,
                stderr=file,
                cwd=ROOT,
                env={**os.environ, "PORT": str(free_port())},
                start_new_session=True,
            )
        running.append(RunningProcess(popen=popen, log=log))
        return running[-1]

    yield start
    for process in running:
        process.stop()


def pids_named(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"pid (\d+)", output)]


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_output_bears_the_name_of_its_process(supervise):
    supervisor = supervise("""
        one: echo hello; sleep 60
        second: echo there >&2; sleep 60
    """)
    supervisor.wait_for_output("one    │ hello")
    supervisor.wait_for_output("second │ there")


def test_a_process_that_ends_is_started_again(supervise):
    supervisor = supervise("""
        flaky: sh -c 'echo pid $$; sleep 0.1; exit 3'
        steady: sh -c 'echo pid $$; exec sleep 60'
    """)
    wait_until(lambda: supervisor.output.count("flaky  │ pid") >= 3, seconds=15)
    assert "flaky  │ ended with status 3; it starts again in 0.5 s" in supervisor.output
    assert "it starts again in 1.0 s" in supervisor.output
    assert supervisor.output.count("steady │ pid") == 1


def test_stopping_ends_every_process_politely(supervise):
    supervisor = supervise("""
        polite: sh -c 'echo pid $$; trap "echo goodbye; exit 0" TERM; while true; do sleep 0.05; done'
        other: sh -c 'echo pid $$; exec sleep 60'
    """)
    wait_until(lambda: len(pids_named(supervisor.output)) == 2)
    assert supervisor.stop() == 0
    assert "polite │ goodbye" in supervisor.output
    assert not any(map(is_alive, pids_named(supervisor.output)))


def test_asking_twice_ends_what_does_not_listen(supervise):
    supervisor = supervise("""
        stubborn: sh -c 'echo pid $$; trap "" TERM INT; while true; do sleep 0.05; done'
    """)
    wait_until(lambda: pids_named(supervisor.output))
    began = time.monotonic()
    supervisor.popen.send_signal(signal.SIGINT)
    supervisor.wait_for_output("Stopping")
    supervisor.popen.send_signal(signal.SIGINT)
    assert supervisor.popen.wait(timeout=10) == 0
    assert time.monotonic() - began < 10
    assert not any(map(is_alive, pids_named(supervisor.output)))


def test_a_killed_leader_takes_its_children_along(supervise):
    # As with gunicorn's master: children that lived on would keep the port from its successor.
    supervisor = supervise("""
        leader: sh -c 'sleep 61 & echo child pid $!; echo leader pid $$; wait'
    """)
    child, leader = wait_until(lambda: (pids := pids_named(supervisor.output))[1:] and pids[:2])
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: not is_alive(child))
    wait_until(lambda: supervisor.output.count("leader pid") == 2)


def test_a_reader_who_goes_away_leaves_nothing_running(tmp_path):
    # As when a terminal is closed, or `make run | head` has seen enough.
    (tmp_path / "Procfile").write_text(
        "talk: sh -c 'echo pid $$; while true; do echo on; sleep 0.05; done'\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "calliyo.supervisor", str(tmp_path / "Procfile")],
        env={**os.environ, "PORT": str(free_port())},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with supervisor:
        (pid,) = pids_named(supervisor.stdout.readline())
        supervisor.stdout.close()
        assert supervisor.wait(timeout=20) == 0
    assert not is_alive(pid)


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    (tmp_path / "Procfile").write_text("web: sleep 60\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "calliyo.supervisor", str(tmp_path / "Procfile")],
            env={**os.environ, "PORT": str(port)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Port {port} is taken.")
