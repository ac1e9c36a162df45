"""The languages of the documents' programs (`docs/webhooks.md`, `docs/recipes/`), and how one is started.

`make test` needs no package of the system: the code of a language that is not here is not run, and the head of the
output says so.
"""

import shutil
import sys
from typing import Final

COMMANDS: Final = {
    "python": [sys.executable],
    "node": ["node"],
    "php": ["php"],
    "go": ["go", "run"],
    "ruby": ["ruby"],
    "java": ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"],
}
HERE: Final = [language for language, command in COMMANDS.items() if shutil.which(command[0])]


def report() -> str:
    """One line for people: in which languages the page's code is run here, and in which it can't be."""
    missing = [language for language in COMMANDS if language not in HERE]
    return f"programs of docs/: run in {', '.join(HERE)}" + (
        f"; not here: {', '.join(missing)}" if missing else ""
    )
