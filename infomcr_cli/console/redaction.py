"""Passwords and tokens never leave this process: not into logs, files, MLflow or tracebacks.

`redact_uris` goes by the structure of URIs alone. It is for what a run needs, such as config.yaml: everything that is
not a credential of a URI stays as it is. `redact` also hides the secrets of the environment. It is for what is shown
or mirrored.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]*")
_QUERY = re.compile(
    r"(?P<key>[?&;]\s*[\w.-]*(?:password|passwd|pwd|token|secret|api_?key|credential|signature|sig|odbc_connect)[\w.-]*=)"
    r"[^&;\s'\"]+",
    re.I,
)
_SECRET_NAME = re.compile(
    r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|ACCESS_KEY|CREDENTIAL|PRIVATE_KEY|_PASS$|_PWD$", re.I
)
# The value of such a variable says where a secret is stored and is not one itself.
_PLACE_NAME = re.compile(r"(FILE|PATH|DIR|URL|URI)$", re.I)
# A whole value is enclosed by blanks, quotes, brackets, = : , ; @ & and the like, not inside a word, a name or a path.
_BEFORE, _AFTER = r"(?<![\w./\\~%+-])", r"(?![\w/\\~%+-]|\.\w)"
_passwords: set[str] = set()  # of the URIs that were given, as they read when decoded


def redact(text: str) -> str:
    """Return text with credentials in URIs, secret query parameters and whole secrets of the environment hidden.

    Example: redact("http://ann:pw@host/?token=x") is "http://***@host/?token=***".
    """
    return redactor()(text)


def one_line(error: BaseException) -> str:
    """Return the message of an exception as one redacted line of at most 500 characters."""
    return redact(" ".join(str(error).split()))[:500]  # a secret that is cut would not be recognized


def redactor() -> Callable[[str], str]:
    """Return a function that redacts texts by the secrets that are known now: for many texts it is faster."""
    pattern = _pattern(tuple(sorted({*_environment_secrets(), *_passwords})))

    def redacted(text: str) -> str:
        text = _QUERY.sub(_without_value, redact_uris(text))
        return pattern.sub(HIDDEN, text) if pattern else text

    return redacted


def redact_uris(text: str) -> str:
    """Return text with the credentials and the secret query parameters of the URIs in it hidden.

    Example: redact_uris("data.root=/a?token=b") is the same; redact_uris("http://h/?token=b") is "http://h/?token=***".
    """
    return _URI.sub(lambda match: redact_uri(match[0]), text)


def redact_uri(value: str) -> str:
    """Return a value without credentials and secret query parameters if the whole of it is a URI, else unchanged."""
    scheme, separator, rest = value.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return value
    credentials = _credentials(scheme, rest)
    if credentials is not None:
        rest = f"{HIDDEN}{rest[len(credentials) :]}"
    return f"{scheme}://{_QUERY.sub(_without_value, rest)}"


def redact_override(override: str) -> str:
    """Return KEY=VALUE without the credentials of a URI that is the value, or is part of it."""
    value = override.partition("=")[2].strip("'\"")
    return redact_uris(override.replace(value, redact_uri(value)) if value else override)


def note_password(uri: str) -> None:
    """Hide the password of a URI from now on wherever it occurs by itself, as in the words of a database's driver."""
    scheme, _, rest = uri.partition("://")
    password = (_credentials(scheme, rest) or "").partition(":")[2]
    _passwords.update(value for value in (password, unquote(password)) if _is_telling(value))


def has_secret(text: str) -> bool:
    """Return whether `redact` would hide something in text."""
    return redact(text) != text


def print_redacted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an exception that nothing caught, as `sys.excepthook` does, but redacted."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


class RedactingFilter(logging.Filter):
    """Redacts every record that passes a handler, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message by its redacted form; never drops a record."""
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def _credentials(scheme: str, rest: str) -> str | None:
    """Return the credentials before the @ of a URI; None if there are none, or only a database user's name.

    The last @ before a slash ends it: a password may itself hold one. SQLAlchemy lets it hold slashes too, and a port
    that is no number is the beginning of such a password.
    """
    is_database = scheme.partition("+")[0].lower() in DATABASES
    authority = rest.partition("/")[0]
    name, colon, port = authority.partition(":")
    if "@" in authority:
        credentials = authority.rpartition("@")[0]
        return None if is_database and ":" not in credentials else credentials
    if "@" in rest and colon and not name.startswith("[") and (is_database or not port.isdecimal()):
        return rest.rpartition("@")[0]
    return None


def _without_value(match: re.Match[str]) -> str:
    return f"{match['key']}{HIDDEN}"


@lru_cache(maxsize=8)  # compiled again only if the secrets have changed
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return what matches the secrets, the longest first, so that one that begins like another is hidden whole."""
    forms = {(form, _is_random(secret)) for secret in secrets for form in _forms(secret)}
    longest_first = sorted(forms, key=lambda spelled: (-len(spelled[0]), spelled[0]))
    parts = [re.escape(form) if random else f"{_BEFORE}{re.escape(form)}{_AFTER}" for form, random in longest_first]
    return re.compile("|".join(parts)) if parts else None


def _forms(secret: str) -> set[str]:
    """Return a secret as it may be spelled: plain, percent-encoded, in JSON, in a Python string, line by line."""
    lines = [line for line in secret.splitlines() if _is_random(line)]
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1], *lines}


def _environment_secrets() -> set[str]:
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and not _PLACE_NAME.search(name)}
    return {value for value in named if _is_telling(value) and not (os.path.isabs(value) and os.path.exists(value))}


def _is_telling(value: str) -> bool:
    """Return whether a value is long enough, or odd enough, that hiding it does not hide every other word or number."""
    return len(value) >= 8 or (len(value) >= 4 and not value.isalpha() and not re.fullmatch(r"[\d.,eE+-]*", value))


def _is_random(value: str) -> bool:
    """Return whether a value looks like a generated token: part of no other word, so hidden inside words too."""
    if len(value) < 16 or value.startswith(("/", "~", ".")) or any(map(str.isspace, value)):
        return False
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))
