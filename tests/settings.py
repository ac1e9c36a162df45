"""Calliyo's settings for tests: data of their own for each pytest process, and nothing needlessly slow."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Set before Calliyo's settings are read; xdist's workers and the processes that tests start inherit them.
if "CALLIYO_TESTS_DIR" not in os.environ:
    if "CALLIYO_DATA_DIR" not in os.environ:
        os.environ["CALLIYO_DATA_DIR"] = tempfile.mkdtemp(prefix="calliyo-tests-")
        atexit.register(shutil.rmtree, os.environ["CALLIYO_DATA_DIR"], ignore_errors=True)
    os.environ["CALLIYO_TESTS_DIR"] = os.environ["CALLIYO_DATA_DIR"]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
os.environ["CALLIYO_DATA_DIR"] = str(Path(os.environ["CALLIYO_TESTS_DIR"], WORKER))
os.environ.setdefault("CALLIYO_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
if "CALLIYO_TESTS_REDIS" in os.environ:
    broker_db = 2 * int(WORKER.removeprefix("gw"))
    os.environ["CELERY_BROKER_URL"] = f"{os.environ['CALLIYO_TESTS_REDIS']}/{broker_db}"
    os.environ["CACHE_URL"] = f"{os.environ['CALLIYO_TESTS_REDIS']}/{broker_db + 1}"

from calliyo.settings import *  # noqa: F403
from calliyo.settings import DATA_DIR, DATABASES, STORAGES

# A cheap hash: passwords are not what is tested.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# whitenoise warns of a folder that is not there yet, and warnings are errors.
STATIC_ROOT = Path(DATA_DIR, "static")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file in WAL, as in real life: threads and processes can share it, which an in-memory one refuses them.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(DATA_DIR, "test.sqlite3"))}
# Nothing is collected for tests; whitenoise warns of a folder that is not there, and warnings are errors.
STATIC_ROOT = Path(DATA_DIR, "static")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
