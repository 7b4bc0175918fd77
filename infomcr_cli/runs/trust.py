"""Which store a run's records go to: the user's word counts, a run directory's word only if the user once gave it.

A directory from a stranger may name any URI in its configuration. Following it would send data there, or write a
database wherever it pleases. So a recorded URI is followed only where this user gave that very URI on a command line
before.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.documents import parse_yaml, printable
from infomcr_cli.runs.redaction import HIDDEN, redact
from infomcr_cli.runs.store import Store, store_of

DEFAULT_EXPERIMENT = "infomcr"
_log = logging.getLogger("infomcr.runs")


def remember(uri: str | None) -> None:
    """Note that the user gave a tracking URI; where the home cannot be written to, nothing is noted."""
    if uri is None or is_known(uri):
        return
    try:
        _known_stores().parent.mkdir(parents=True, exist_ok=True)
        with open(_known_stores(), "a", encoding="ascii") as file:
            file.write(_digest(uri) + "\n")
    except OSError:
        _log.info("this user's folder %s cannot be written to", _known_stores().parent)


def is_known(uri: str) -> bool:
    """Return whether the user gave this URI before; its password does not matter."""
    try:
        return _digest(uri) in _known_stores().read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return False


def store_of_run(run: RunDirectory, given_uri: str | None = None) -> Store | None:
    """Return the store that a run is mirrored in, None where it is not.

    Args:    given_uri: what the user says now; it comes before what the directory says.
    Raises:  InputError: the configuration is not readable, or given_uri is no tracking URI.
    """
    tracking = _recorded(run)
    experiment = printable(str(tracking.get("experiment") or DEFAULT_EXPERIMENT), 200)
    if given_uri is not None:
        return store_of(given_uri, experiment, run.path.parent)
    if tracking.get("name") == "off":
        return None
    uri = tracking.get("uri")
    return store_of(None, experiment, run.path.parent) if uri is None else _followed(run, str(uri), experiment)


def _followed(run: RunDirectory, uri: str, experiment: str) -> Store | None:
    shown = printable(redact(uri))
    if HIDDEN in uri:
        _log.warning("%s is mirrored in %s, whose password is kept nowhere; give tracking.uri again.", run.name, shown)
        return None
    if not is_known(uri):
        _log.warning("%s names the store %s, which you never gave; give it as tracking.uri to use it.", run.name, shown)
        return None
    return store_of(uri, experiment, run.path.parent)


def _recorded(run: RunDirectory) -> Mapping[str, Any]:
    config = parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    tracking = config.get("tracking") if isinstance(config, dict) else None
    if not isinstance(tracking, dict):
        raise InputError(f"config.yaml of {run.name} must hold the group tracking")
    return tracking


def _known_stores() -> Path:
    return Path(os.environ.get("INFOMCR_STATE") or platformdirs.user_state_path("infomcr")) / "stores"


def _digest(uri: str) -> str:
    return hashlib.sha256(redact(uri).encode()).hexdigest()
