"""`make test-services`: the whole suite on a throw-away PostgreSQL and Redis, and with Chromium.

The servers start before pytest does, since Django reads its settings once and early. Arguments go to pytest.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from tests import servers


def main(arguments: Sequence[str]) -> int:
    """pytest's exit status; 1 for a server that is missing where all are required."""
    signal.signal(signal.SIGTERM, _leave)
    required = os.environ.get("CALLIYO_REQUIRE_SERVICES") == "1"
    extra = []
    try:
        servers.chromium()
    except servers.MissingServerError as missing:
        print(f"test-services: {missing}", file=sys.stderr)
        if required:
            return 1
        print("test-services: the browser tests are left out.", file=sys.stderr)
        extra = ["--ignore", "tests/browser"]
    try:
        with servers.services(*servers.FAST_AND_FORGETFUL) as environment:
            command = [sys.executable, "-m", "pytest", "--numprocesses", "3", *extra, *arguments]
            return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
    except servers.MissingServerError as missing:
        print(f"test-services: {missing}", file=sys.stderr)
        print("test-services: nothing was tested.", file=sys.stderr)
        return 1 if required else 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(1)  # through the context managers, which end the servers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
