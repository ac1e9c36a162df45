"""Every setting, read once from the environment (the contract's list), for both ways to run.

Embedded (no `DATABASE_URL`): SQLite, the file-system broker and generated keys, all under `.data/`.
Production (`DATABASE_URL` names PostgreSQL): nothing is generated, and what is unsafe stops the start.
"""

import sys
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from celery.schedules import crontab
from cryptography.fernet import Fernet
from django.core.management.utils import get_random_secret_key

from calliyo import broker
from calliyo.local_secrets import kept_secret
from calliyo.logs import logging_config

env = environ.Env()
refusals: list[str] = []


def refuse(line: str) -> None:
    """Notes one reason not to start; all of them are printed together at the end of this module."""
    refusals.append(line)


def number(name: str, *, default: float) -> float:
    """The number that the environment names, or `default`, also for what is refused."""
    try:
        return float(env.str(name, default="") or default)
    except ValueError:
        refuse(f"{name} must be a number.")
        return default


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """The comma-separated CIDRs that the environment names."""
    found = []
    for text in env.list(name, default=[]):
        try:
            found.append(ip_network(text))
        except ValueError:
            refuse(f"{name}: {text!r} is not a network such as 10.0.0.0/8.")
    return found


BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("CALLIYO_DATA_DIR", default=str(BASE_DIR / ".data"))).absolute()

# ── Where things are kept ───────────────────────────────────────────────────────────────────────────────
DATABASE_URL = env.str("DATABASE_URL", default="")
PRODUCTION = DATABASE_URL.startswith(("postgres:", "postgresql:", "psql:", "pgsql:"))
RUN_ENVIRONMENT = DATA_DIR / "run_environment"
if not PRODUCTION:
    DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    # What `make run` was started with, so that a command in another terminal judges a webhook's URL alike.
    if RUN_ENVIRONMENT.exists():
        env.read_env(RUN_ENVIRONMENT)

DATABASES = {"default": env.db_url_config(DATABASE_URL or f"sqlite:///{DATA_DIR / 'calliyo.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"] |= {"CONN_MAX_AGE": 300, "CONN_HEALTH_CHECKS": True}
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
elif DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Immediate transactions: a reader that turns writer would fail at once instead of waiting its turn.
    DATABASES["default"] |= {"CONN_MAX_AGE": None}
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
    }
else:
    refuse("DATABASE_URL must name PostgreSQL (postgres://…) or SQLite (sqlite:///…).")

CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://calliyo")}
if CACHES["default"]["BACKEND"].endswith(".RedisCache"):
    # Rate limits ask the cache at each request: one that hangs must not hold the API.
    CACHES["default"].setdefault("OPTIONS", {})
    CACHES["default"]["OPTIONS"] |= {"socket_connect_timeout": 0.25, "socket_timeout": 0.25}

# ── Who we are ──────────────────────────────────────────────────────────────────────────────────────────
PORT = int(number("PORT", default=8000))
BASE_URL = env.str("BASE_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
_base = urlsplit(BASE_URL)
if _base.scheme not in {"http", "https"} or not _base.hostname:
    refuse("BASE_URL must be an http or https address, such as https://crm.example.com.")
HTTPS = _base.scheme == "https"

DEBUG = env.bool("DEBUG", default=False)
if DEBUG and PRODUCTION:
    refuse("DEBUG must be off in production: its error pages show settings and data.")

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
if not ALLOWED_HOSTS and not PRODUCTION:
    ALLOWED_HOSTS = sorted({"127.0.0.1", "localhost", "[::1]", _base.hostname or "localhost"})
if not ALLOWED_HOSTS:
    refuse("ALLOWED_HOSTS must name the host names that Calliyo answers to, comma-separated.")
if "*" in ALLOWED_HOSTS:
    refuse("ALLOWED_HOSTS must name hosts; * would answer to any.")

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY and not PRODUCTION:
    SECRET_KEY = kept_secret(DATA_DIR / "secret_key", get_random_secret_key)
if len(SECRET_KEY) < 32:
    refuse("SECRET_KEY must be set to at least 32 random characters.")

CALLIYO_FIELD_KEYS = env.list("CALLIYO_FIELD_KEYS", default=[])
if not CALLIYO_FIELD_KEYS and not PRODUCTION:
    CALLIYO_FIELD_KEYS = [kept_secret(DATA_DIR / "field_key", lambda: Fernet.generate_key().decode())]
if not CALLIYO_FIELD_KEYS:
    refuse("CALLIYO_FIELD_KEYS must hold at least one Fernet key: it encrypts webhook secrets at rest.")
for _position, _key in enumerate(CALLIYO_FIELD_KEYS, start=1):
    try:
        Fernet(_key)
    except ValueError:
        refuse(f"CALLIYO_FIELD_KEYS: key {_position} is not a Fernet key (32 bytes in URL-safe base64).")

TIME_ZONE = env.str("TIME_ZONE", default="Asia/Kolkata")
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError):
    refuse(f"TIME_ZONE: there is no time zone {TIME_ZONE!r}; write it as in Asia/Kolkata.")
USE_TZ = True
USE_I18N = True
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["calliyo.formats"]
LOCALE_PATHS = [BASE_DIR / "calliyo" / "locale"]  # a translation is a file there
CALLIYO_DEFAULT_REGION = env.str("CALLIYO_DEFAULT_REGION", default="IN").upper()

# ── Webhooks ────────────────────────────────────────────────────────────────────────────────────────────
CALLIYO_WEBHOOK_TIMEOUT = number("CALLIYO_WEBHOOK_TIMEOUT", default=15.0)
if not 0 < CALLIYO_WEBHOOK_TIMEOUT <= 120:
    refuse("CALLIYO_WEBHOOK_TIMEOUT must be seconds, more than 0 and at most 120.")
try:
    CALLIYO_WEBHOOK_RETRY_SCHEDULE: list[float] = env.list(
        "CALLIYO_WEBHOOK_RETRY_SCHEDULE",
        cast=float,
        default=[0, 5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
    )
except ValueError:
    CALLIYO_WEBHOOK_RETRY_SCHEDULE = []
if not CALLIYO_WEBHOOK_RETRY_SCHEDULE or not all(0 <= wait < inf for wait in CALLIYO_WEBHOOK_RETRY_SCHEDULE):
    refuse("CALLIYO_WEBHOOK_RETRY_SCHEDULE must be waits in seconds, comma-separated, the leading 0 too.")
CALLIYO_WEBHOOK_ALLOWED_NETWORKS = networks("CALLIYO_WEBHOOK_ALLOWED_NETWORKS")
CALLIYO_TRUSTED_PROXIES = networks("CALLIYO_TRUSTED_PROXIES")

# The web server's threads (Procfile). Readers who wait for events may hold half of them.
WEB_THREADS = int(number("WEB_THREADS", default=32))
if WEB_THREADS < 2:
    refuse("WEB_THREADS must be 2 or more: a reader who waits for events holds one.")

CALLIYO_METRICS_TOKEN = env.str("CALLIYO_METRICS_TOKEN", default="")

# ── Mail (notices to company admins) ────────────────────────────────────────────────────────────────────
EMAIL_HOST = env.str("EMAIL_HOST", default="")
EMAIL_PORT = int(number("EMAIL_PORT", default=587 if EMAIL_HOST else 25))
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=False)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", default=False)
EMAIL_FILE_PATH = env.str("EMAIL_FILE_PATH", default="") or None  # where the file-based backend writes
EMAIL_TIMEOUT = number("EMAIL_TIMEOUT", default=10.0)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or f"calliyo@{_base.hostname or 'localhost'}"
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    refuse("EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other.")
# Without a mail server, the embedded default shows a mail on the terminal; production says it in the log only.
_mail = "smtp" if EMAIL_HOST else "dummy" if PRODUCTION else "console"
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="") or f"django.core.mail.backends.{_mail}.EmailBackend"

# ── The application ─────────────────────────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "calliyo",
    "apikeys",
    "leads",
    "webhooks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_htmx",  # its static file is htmx itself
]
MIDDLEWARE = [
    "calliyo.api.request_id.RequestIdMiddleware",
    "apikeys.counting.CountCallsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "calliyo.api.direct.DirectMiddleware",  # what is below is for pages
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "leads.second_step.SecondStepMiddleware",  # Django's, and who has not shown his code is nobody
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "leads.actors.StaffActorMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "calliyo.urls"
WSGI_APPLICATION = "calliyo.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "calliyo" / "pages" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "leads.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "leads.roles.RoleBackend",
    "leads.second_step.CodeBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"
CSRF_FAILURE_VIEW = "calliyo.pages.login.stale_form"
# Guessing: a name from an address is locked for a quarter of an hour after ten wrong passwords or codes. Counted by
# both, as a company's agents share an address, and nobody must be able to lock an admin out from elsewhere.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_TEMPLATE = "registration/too_many_logins.html"
AXES_CLIENT_IP_CALLABLE = "calliyo.logins.address_of"
AXES_USERNAME_CALLABLE = "calliyo.logins.name_of"
AXES_SENSITIVE_PARAMETERS = [
    "username",
    "ip_address",
    "csrfmiddlewaretoken",
    "held",
    "next",
    "code",
    "recovery_code",
]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# ── Files and security ──────────────────────────────────────────────────────────────────────────────────
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "calliyo" / "pages" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [BASE_URL]
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if CALLIYO_TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
    },
}

# ── Celery ──────────────────────────────────────────────────────────────────────────────────────────────
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or broker.URL
if CELERY_BROKER_URL.startswith(f"{broker.SCHEME}:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = broker.transport_options(DATA_DIR / "broker")
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # the embedded broker has no fan-out, and nobody uses it
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Keeps nothing on disk: entries are short and may be repeated.
CELERY_BEAT_SCHEDULER = "celery.beat.Scheduler"
# Housekeeping. A message that no worker takes in time is void: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    "webhooks.clean_up": {"task": "webhooks.clean_up", "schedule": 60.0, "options": {"expires": 55}},
    "webhooks.prune": {
        "task": "webhooks.prune",
        "schedule": crontab(minute="41"),
        "options": {"expires": 3000},
    },
    "apikeys.prune_idempotency_records": {
        "task": "apikeys.prune_idempotency_records",
        "schedule": crontab(minute="*/10"),
        "options": {"expires": 500},
    },
    "apikeys.prune_usage": {
        "task": "apikeys.prune_usage",
        "schedule": crontab(minute="29"),
        "options": {"expires": 3000},
    },
    "calliyo.forget_expired_sessions": {
        "task": "calliyo.forget_expired_sessions",
        "schedule": crontab(minute="17"),
        "options": {"expires": 3000},
    },
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever: the engine delivers without a broker, too
CELERY_TIMEZONE = "UTC"

# ── The public API ──────────────────────────────────────────────────────────────────────────────────────
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apikeys.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apikeys.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["apikeys.throttling.TokenBucketThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["calliyo.api.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "calliyo.api.renderers.Negotiation",
    "DEFAULT_PARSER_CLASSES": [
        "calliyo.api.parsers.JSONParser",
        "calliyo.api.parsers.FormParser",
        "calliyo.api.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "calliyo.reference.operations.PublicSchema",
    "EXCEPTION_HANDLER": "calliyo.api.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}
# What answers a POST with an `Idempotency-Key`: the views' base does not know the keys that it belongs to.
CALLIYO_ANSWER_ONCE = "apikeys.idempotency.answer_once"
SPECTACULAR_SETTINGS = {
    "TITLE": "Calliyo public API",
    "VERSION": "2026-11-01",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/public",
    "DEFAULT_GENERATOR_CLASS": "calliyo.reference.document.DocumentGenerator",
    "POSTPROCESSING_HOOKS": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATION_PARAMETERS": False,
}

LOGGING_CONFIG = None
logging_config(json=PRODUCTION and not DEBUG)

if refusals:
    sys.exit("\n".join(f"calliyo: {line}" for line in refusals))
