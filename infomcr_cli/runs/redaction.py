"""Passwords and tokens never leave this process: not into logs, files, MLflow or tracebacks."""

from __future__ import annotations

import logging
import os
import re

HIDDEN = "***"
# The last @ before a slash, space or quote ends the credentials: a password may itself hold one.
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<secret>[^/\s'\"]*)@")
_QUERY = re.compile(
    r"(?P<key>[?&;]\s*[\w.-]*(?:password|passwd|pwd|token|secret|api_?key|credential|signature|sig)[\w.-]*=)[^&;\s'\"]+",
    re.I,
)
_SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY|CREDENTIAL|PRIVATE_KEY)", re.I)


def redact(text: str) -> str:
    """Return text with credentials in URIs, secret query parameters and secrets of the environment hidden.

    Example: redact("http://ann:pw@host/?token=x") is "http://***@host/?token=***".
    """
    text = _CREDENTIALS.sub(lambda match: f"{match['scheme']}{HIDDEN}@", text)
    text = _QUERY.sub(lambda match: f"{match['key']}{HIDDEN}", text)
    for secret in _environment_secrets():
        text = text.replace(secret, HIDDEN)
    return text


def has_secret(text: str) -> bool:
    """Return whether `redact` would hide something in text."""
    return redact(text) != text


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


def _environment_secrets() -> list[str]:
    found = [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= 8]
    return sorted(found, key=len, reverse=True)
