"""Runs a program that a page shows, as its reader would: the files beside each other, settings in the environment."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.languages import COMMANDS
from tests.processes import wait_until
from tests.servers import listens

PATIENCE = 60


def run(
    language: str, folder: Path, files: Mapping[str, str], *, environment: Mapping[str, str], stdin: str = ""
) -> str:
    """Writes the files, runs the first one to its end; what it printed. It must end well."""
    ended = subprocess.run(
        [*COMMANDS[language], _written(folder, files)],
        cwd=folder, env={**os.environ, **environment}, input=stdin,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def serving(
    language: str,
    folder: Path,
    files: Mapping[str, str],
    *,
    environment: Mapping[str, str],
    port: int,
    arguments: Sequence[str] = (),
) -> Iterator[None]:
    """Runs the first file, or `arguments`, until the block ends; from the block's begin on it listens on `port`."""
    command = [*COMMANDS[language], *(arguments or [_written(folder, files)])]
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment, "PORT": str(port)})
    try:
        wait_until(lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _written(folder: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        (folder / name).write_text(text)
    return next(iter(files))
