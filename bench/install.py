"""`make bench-install`: from an empty folder to the printed address, as somebody new lives it.

Clones what is committed, runs `make run` without pip's cache, waits for the address, measures the packages.
Only the standard library: this runs before there is a virtual environment.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

MOST_SECONDS, MOST_MEGABYTES = 60, 200
PATIENCE = 600
READY = "Calliyo is ready"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def seconds_to_address(clone: Path) -> float:
    """Runs `make run` in the clone until it prints the address, then stops it."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["make", "run", f"PORT={free_port()}"],
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PIP_NO_CACHE_DIR": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(f"  {line}", end="")
            if READY in line:
                return time.monotonic() - began
            if time.monotonic() - began > PATIENCE:
                break
        raise SystemExit(f"make run never said {READY!r}.")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()  # to its end: all that was started has ended, too
        process.wait()


def main() -> None:
    repository = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix="calliyo-install-") as folder:
        clone = Path(folder, "calliyo")
        subprocess.run(["git", "clone", "--quiet", str(repository), str(clone)], check=True)
        first = seconds_to_address(clone)
        packages = megabytes(clone / ".venv")
        again = seconds_to_address(clone)
    results = {
        "at": datetime.now(UTC).isoformat(),
        "first_start_seconds": round(first, 1),
        "later_start_seconds": round(again, 1),
        "packages_megabytes": round(packages, 1),
    }
    target = repository / ".data" / "bench" / f"install-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nFrom an empty folder to the address: {first:.1f} s (at most {MOST_SECONDS})")
    print(f"A later start:                       {again:.1f} s")
    print(f"The virtual environment:             {packages:.0f} MB (packages: at most {MOST_MEGABYTES})")
    print(f"Kept as {target.relative_to(repository)}")
    sys.exit(first > MOST_SECONDS or packages > MOST_MEGABYTES)


if __name__ == "__main__":
    main()
