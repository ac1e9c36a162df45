"""`python -m bench.measure saves FILE`: one measurement on the environment's database; writes JSON."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import django
from django.core.management import call_command


def main(what: str, target: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calliyo.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    # By name: it imports models, and those exist only now.
    target.write_text(json.dumps(import_module(f"bench.{what}").measure()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
