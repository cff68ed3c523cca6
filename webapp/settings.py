"""Every setting of the site, read from the environment once.

Embedded mode (`manage.py up`) needs none of these variables; production sets SECRET_KEY, DATABASE_URL,
REDIS_URL, ALLOWED_HOSTS and SITE_URL.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured

from workers.protocol import Timings

django_stubs_ext.monkeypatch()  # lets classes such as ModelAdmin name their model, as mypy wants

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("DELTABOARD_VAR", ROOT / "var"))
EMBEDDED = "DATABASE_URL" not in os.environ
"""One machine, SQLite, files on disk, a broker on loopback."""

SITE_URL = os.environ.get("SITE_URL") or os.environ.get("DELTABOARD_SITE_URL") or "http://127.0.0.1:8000"
DEBUG = os.environ.get("DELTABOARD_DEBUG") == "1"


def _secret_key() -> str:
    """The key from the environment, or the one made once under var/ in embedded mode."""
    if key := os.environ.get("SECRET_KEY"):
        return key
    if not EMBEDDED:
        raise ImproperlyConfigured("SECRET_KEY is not set. Production needs a key of its own: 50 random characters.")
    return _made_once("secret_key", lambda: secrets.token_urlsafe(50))


def _made_once(name: str, make: Callable[[], str]) -> str:
    """The text of a private file under var/, which the first process writes."""
    VAR.mkdir(parents=True, exist_ok=True)
    path = VAR / name
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        part.touch(mode=0o600)
        part.write_text(make())
        try:
            os.link(part, path)  # the first process wins; a link never overwrites
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_text()


def _encryption_keys() -> list[str]:
    """Fernet keys for secrets at rest, the newest first: ENCRYPTION_KEYS with commas, or one made under var/."""
    given = [key for key in os.environ.get("ENCRYPTION_KEYS", "").split(",") if key]
    if not all(re.fullmatch(r"[\w-]{43}=", key) for key in given):
        raise ImproperlyConfigured("ENCRYPTION_KEYS are not Fernet keys: 32 random bytes each, in URL-safe base64.")
    return given or [
        _made_once("encryption_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
    ]


def _database() -> dict[str, Any]:
    """SQLite under var/, or what DATABASE_URL (postgres://user:password@host:port/name?option=…) names."""
    url = urlsplit(os.environ.get("DATABASE_URL", ""))
    if not url.scheme:
        return {
            "ENGINE": "webapp.sqlite",
            "NAME": VAR / "deltaboard.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": float(os.environ.get("DELTABOARD_SQLITE_WAIT_SECONDS", 20)),
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
            "TEST": {"NAME": VAR / "test.sqlite3"},
        }
    query = dict(parse_qsl(url.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": query.pop("host", None) or url.hostname or "",
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,  # a restart of the server costs one look, not a failed request for each connection
        "OPTIONS": {"pool": database_pool(), **query},
    }


def database_pool() -> dict[str, Any]:
    """Few connections for many requests: the others queue, and hear 503 after ten seconds.

    While the server is away each try to connect waits twice as long as the one before, until the pool gives up and the
    next request begins anew: given up early, the site is back a second after its database however long that was away.
    """
    size = int(os.environ.get("DELTABOARD_DATABASE_CONNECTIONS", 8))
    return {"min_size": 1, "max_size": size, "timeout": 10, "reconnect_timeout": 2}


def _public_bucket() -> str:
    """S3_PUBLIC_URL, an address without path or anything else that a policy for browsers could not name."""
    given = os.environ.get("S3_PUBLIC_URL", "").rstrip("/") if os.environ.get("S3_BUCKET") else ""
    if given and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", given):
        raise ImproperlyConfigured("S3_PUBLIC_URL is not like https://s3.example.org, without a path.")
    return given


S3_PUBLIC_URL = _public_bucket()
"""Where browsers and programs reach the bucket, to put large uploads there; without it they go through the site."""


def _storage() -> dict[str, Any]:
    """Uploaded and made files: a folder, or an S3 bucket where S3_BUCKET is set."""
    if bucket := os.environ.get("S3_BUCKET"):
        options = {"bucket_name": bucket, "endpoint_url": os.environ.get("S3_ENDPOINT"), "public_url": S3_PUBLIC_URL}
        return {"BACKEND": "webapp.bucket.Bucket", "OPTIONS": options}
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR / "files"}}


SECRET_KEY = _secret_key()
ENCRYPTION_KEYS = _encryption_keys()
for folder in ("incoming", "static"):
    (VAR / folder).mkdir(parents=True, exist_ok=True)
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host] or [
    "127.0.0.1",
    "localhost",
    "[::1]",
    urlsplit(SITE_URL).hostname or "localhost",
]
if not EMBEDDED and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is '*'. Name the hosts that people type.")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "ninja",
    "webapp.accounts",
    "webapp.datasets",
    "webapp.basemodels",
    "webapp.jobs",
    "webapp.notices",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webapp.accounts.middleware.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "webapp.plain_text.RefuseNul",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.accounts.context.shell",
                "webapp.notices.context.bell",
                "webapp.jobs.health.shown",
            ],
        },
    }
]

DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STORAGES = {
    "default": _storage(),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if EMBEDDED
        else "webapp.static_files.ModuleManifestStorage"
    },
}

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["webapp.accounts.hashing.InTurn"]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "jobs:home"
LOGOUT_REDIRECT_URL = "accounts:sign_in"
AXES_FAILURE_LIMIT = 20
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # nobody can lock others out
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [ROOT / "static"]
WHITENOISE_USE_FINDERS = EMBEDDED
WHITENOISE_AUTOREFRESH = False

DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
FILE_UPLOAD_TEMP_DIR = VAR / "incoming"
MAX_UPLOAD_BYTES = int(os.environ.get("DELTABOARD_MAX_UPLOAD_BYTES", 5 * 1024**3))
DISK_RESERVE_BYTES = int(os.environ.get("DELTABOARD_DISK_RESERVE_BYTES", 256 * 1024**2 if EMBEDDED else 2 * 1024**3))
"""Uploads and submits are refused before less than this is free."""
MODEL_FOLDERS = [Path(folder) for folder in os.environ.get("DELTABOARD_MODEL_FOLDERS", "").split(os.pathsep) if folder]
"""Folders on the site's machine that an admin may register base models from."""

_MAIL = urlsplit(os.environ.get("EMAIL_URL", ""))
try:
    EMAIL_PORT = _MAIL.port or {"": 25, "smtp": 25, "smtp+tls": 587, "smtps": 465}[_MAIL.scheme]
    if bool(_MAIL.scheme) != bool(_MAIL.hostname) or (_MAIL.path and not _MAIL.hostname):
        raise ValueError
except (KeyError, ValueError):
    raise ImproperlyConfigured("EMAIL_URL is not like smtp+tls://user:password@mail.example.org:587.") from None
EMAIL_HOST = _MAIL.hostname or ""
"""Empty where the site's admin set up no mail."""
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_MAIL.username or ""), unquote(_MAIL.password or "")
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL.scheme == "smtp+tls", _MAIL.scheme == "smtps"
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = os.environ.get("EMAIL_FROM") or f"Deltaboard <deltaboard@{urlsplit(SITE_URL).hostname}>"
try:
    _NETWORKS = os.environ.get("DELTABOARD_WEBHOOK_NETWORKS", "").split(",")
    WEBHOOK_NETWORKS = [ipaddress.ip_network(each.strip()) for each in _NETWORKS if each.strip()]
except ValueError as fault:
    raise ImproperlyConfigured(f"DELTABOARD_WEBHOOK_NETWORKS is not like 10.1.0.0/16,fd00::/8: {fault}.") from fault
"""Private networks that webhooks may reach, over plain http too. Without it: public addresses only."""
HOUSEKEEPING = ["webapp.notices.sending.send_due", "webapp.notices.forgetting.forget_old"]
"""What rooms above the jobs want done every few seconds, each in a thread of its own beside the sweep."""

_HTTPS = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_NAME = "__Host-session" if _HTTPS else "deltaboard_session"
CSRF_COOKIE_NAME = "__Host-csrf" if _HTTPS else "deltaboard_csrf"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
CSRF_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [SITE_URL]
CSRF_FAILURE_VIEW = "webapp.errors.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
SECURE_SSL_REDIRECT = False  # the proxy redirects; workers on the inner network speak plain HTTP to it
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
SILENCED_SYSTEM_CHECKS = ["security.W008"]  # see SECURE_SSL_REDIRECT
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "style-src-attr": [UNSAFE_INLINE],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF, *([S3_PUBLIC_URL] if S3_PUBLIC_URL else [])],
        "font-src": [SELF],
        "worker-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-src": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

PROBE_URL = os.environ.get("DELTABOARD_PROBE_URL") or os.environ.get("SITE_URL") or ""
"""Where the reconciler asks whether the worker API answers; without it no lease is ever ended."""
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
TIMINGS = Timings.from_environment(dict(os.environ))
LIVE_STREAMS_PER_PROCESS = int(os.environ.get("DELTABOARD_LIVE_STREAMS", "500"))
"""Open live streams of one web process; whoever comes later polls instead."""
LIVE_STREAMS_PER_USER = 10

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "axes": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}
