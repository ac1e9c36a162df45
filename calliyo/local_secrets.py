"""Secrets that the embedded default makes for itself and keeps in `.data/`, readable by their owner alone."""

import os
from collections.abc import Callable
from pathlib import Path


def kept_secret(path: Path, generate: Callable[[], str]) -> str:
    """The secret in `path`, made by `generate` and written with mode 0600 when there is none yet.

    Several processes may ask at once: the file is linked into place whole, so the first one wins and all
    read the same.
    """
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(generate())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first; its secret is read below
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")
