"""Decide which MLflow store a run is mirrored in; a URI of a run directory counts only if the user once gave it.

A directory from someone else may name any URI in its configuration. Following it would send data there, or write a
database wherever it pleases. So a recorded URI is followed only where this user gave that very URI on a command line
before.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomcr_cli.config.schema.experiment_name import fitting_experiment
from infomcr_cli.console.redaction import HIDDEN, redact, redact_uri
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.tracking.moved_runs import default_store, located_uri
from infomcr_cli.tracking.store import Store, absolute_uri, environment_uri, store_of
from infomcr_cli.user_folders import state_folder

if TYPE_CHECKING:
    from infomcr_cli.config.schema.run import TrackingConfig

_log = logging.getLogger("infomcr.runs")


def add_known_store(uri: str | None) -> None:
    """Record that the user gave a tracking URI; does nothing if the home is not writable.

    Raises:
        InputError: it is no tracking URI.
    """
    if uri is None or is_known(uri := absolute_uri(uri)):
        return
    try:
        _known_stores().parent.mkdir(parents=True, exist_ok=True)
        with open(_known_stores(), "a", encoding="ascii") as file:
            file.write(_digest(uri) + "\n")
    except OSError:
        _log.info("the folder %s is not writable", _known_stores().parent)


def is_known(uri: str) -> bool:
    """Return whether the user has given this URI before, with any password."""
    try:
        return _digest(uri) in _known_stores().read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return False


def store_of_run(run: RunDirectory, given_uri: str | None = None) -> Store | None:
    """Return the store that a run is mirrored in, or None.

    What the user says now comes first, then what the directory says, then MLFLOW_TRACKING_URI, then mlflow/ beside it.

    Args:
        given_uri: what the user says now.

    Raises:
        InputError: the configuration is not readable, or given_uri is no tracking URI.
    """
    tracking = _recorded(run)
    experiment = fitting_experiment(tracking.get("experiment"))
    uri = given_uri
    if uri is None:
        if tracking.get("name") == "off":
            return None
        if tracking.get("uri") is not None and (uri := _followed(run, str(tracking["uri"]))) is None:
            return None
    return store_of(uri, experiment, run.path.parent, folder=default_store(run))


def store_of_new_run(tracking: TrackingConfig, runs_dir: Path | str) -> Store | None:
    """Return the store of a new run, which the user named now; None if it is mirrored nowhere.

    Args:
        tracking: its resolved settings.
        runs_dir: the folder that its directory will be in.

    Raises:
        InputError: the tracking URI is none that MLflow takes.
    """
    if tracking.name == "off":
        return None
    add_known_store(tracking.uri)
    return store_of(tracking.uri, tracking.experiment, runs_dir)


def store_of_resumed_run(run: RunDirectory, tracking: TrackingConfig, overrides: Sequence[str]) -> Store | None:
    """Return the store of a resumed run, None if it is mirrored nowhere; a recorded URI must be a known one.

    Args:
        tracking:  the settings with which it is resumed.
        overrides: as given on the command line.
    """
    typed = {text.lstrip("+").partition("=")[0] for text in overrides}
    if not typed & {"tracking", "tracking.uri", "tracking.name"}:
        store = store_of_run(run)
        return store and replace(store, experiment=tracking.experiment or store.experiment)
    uri = tracking.uri if "tracking.uri" in typed else None
    add_known_store(uri)
    return store_of(uri, tracking.experiment, run.path.parent, folder=default_store(run))


def _followed(run: RunDirectory, uri: str) -> str | None:
    """Return the URI to use for a recorded one; None, with a warning, if it is not followed."""
    given = environment_uri()
    if given is not None and redact_uri(given) == uri:  # the same one, with its password
        return given
    shown = printable(redact(uri))
    if HIDDEN in uri:
        _log.warning("%s is mirrored in %s, whose password is not stored; give tracking.uri again.", run.name, shown)
        return None
    located = located_uri(run, uri)
    if not (is_known(uri) or is_known(located)):
        _log.warning(
            "%s names the store %s, which you have never used; give it as tracking.uri to use it.", run.name, shown
        )
        return None
    return located


def _recorded(run: RunDirectory) -> Mapping[str, Any]:
    config = parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    tracking = config.get("tracking") if isinstance(config, dict) else None
    if not isinstance(tracking, dict):
        raise InputError(f"config.yaml of {run.name} must hold the group tracking")
    return tracking


def _known_stores() -> Path:
    return state_folder() / "stores"


def _digest(uri: str) -> str:
    return hashlib.sha256(redact_uri(uri).encode()).hexdigest()
