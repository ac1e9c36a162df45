"""`python -m bench.measure FILE`: measures on the database that the environment names, and writes JSON."""

import json
import os
import sys
from pathlib import Path

import django
from django.core.management import call_command


def main(target: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calliyo.settings")
    django.setup()
    # The parts name models, which exist only now.
    from bench import saves  # noqa: PLC0415

    call_command("migrate", interactive=False, verbosity=0)
    target.write_text(json.dumps({"saves": saves.measure()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
