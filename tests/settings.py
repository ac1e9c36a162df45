"""Calliyo's settings for tests: data of their own, and nothing slower than it must be."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Set before Calliyo's settings are read; pytest-xdist's workers and the tests' processes inherit them.
if "CALLIYO_DATA_DIR" not in os.environ:
    os.environ["CALLIYO_DATA_DIR"] = tempfile.mkdtemp(prefix="calliyo-tests-")
    atexit.register(shutil.rmtree, os.environ["CALLIYO_DATA_DIR"], ignore_errors=True)
os.environ.setdefault("CALLIYO_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")

from calliyo.settings import *  # noqa: F403
from calliyo.settings import DATA_DIR, DATABASES, STORAGES

# A fresh in-memory cache and a cheap hash: passwords are not what is tested.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file in WAL, as in real life: threads and processes can share it, which an in-memory one refuses them.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(DATA_DIR, "test.sqlite3"))}
