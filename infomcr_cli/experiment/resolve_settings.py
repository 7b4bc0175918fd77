"""What a new run's settings mean by where and by whom they were typed: paths become whole, MLflow's variables count.

The record of a run must mean the same in every folder, and in every shell.
"""

from __future__ import annotations

import os
from typing import Any

from infomcr_cli.config.allowed_builders import is_server_named
from infomcr_cli.config.overrides import spelled
from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.config.schema.experiment_name import DEFAULT_EXPERIMENT
from infomcr_cli.config.schema.run import RunConfig, TrackingConfig
from infomcr_cli.console.redaction import redact, redact_uri
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.known_builders import with_known_presets
from infomcr_cli.runs.directory import split_start
from infomcr_cli.tracking.known_stores import is_known
from infomcr_cli.tracking.store import URI_VARIABLE, absolute_uri, environment_experiment, environment_uri

_WITHOUT_ROOT = {"digits": "", "builder": ", or give your function the path: +data.settings.NAME=PATH"}
PATHS = ("data.root", "data.cache", "runs_dir")


def resolved(config: RunConfig) -> RunConfig:
    """Return a new run's settings with whole paths, and with the tracking that the user's environment names.

    Raises:
        InputError: the tracking URI or the experiment is none that MLflow takes; the data has no root; only `conf/` of
            the working directory names the URI, or a function of the user's own.
    """
    config = with_known_presets(config)
    _check_root(config.data)
    _check_named(config.tracking)
    data = config.data.model_copy(update={"root": whole(config.data.root), "cache": whole(config.data.cache)})
    changes = {"data": data, "runs_dir": whole(config.runs_dir), "start": whole_start(config.start)}
    return config.model_copy(update={**changes, "tracking": resolved_tracking(config.tracking)})


def _check_root(data: DataConfig) -> None:
    """Raise InputError if a source is given a path that it does not read."""
    if data.root is not None and data.name in _WITHOUT_ROOT:
        advice = f"Choose the source that reads it, such as data=npz{_WITHOUT_ROOT[data.name]}."
        raise InputError(f"data={data.name} takes no data.root", received=data.root, advice=advice)


def _check_named(tracking: TrackingConfig) -> None:
    """Raise InputError if a folder `conf/` alone names the tracking server: it may come from anyone."""
    if (
        tracking.name == "off"
        or tracking.uri is None
        or is_server_named(tracking)
        or is_known(absolute_uri(tracking.uri))
    ):
        return
    uri = printable(redact(redact_uri(tracking.uri)))
    raise InputError(
        "tracking.uri must be given on the command line once, because nothing is sent where only conf/ says so",
        received=uri,
        advice=f"If you trust it, add {spelled('tracking.uri', uri)}, or --config-dir conf.",
    )


def resolved_tracking(tracking: TrackingConfig) -> TrackingConfig:
    """Return where a run is mirrored; what is given comes before the environment's variables.

    Raises:
        InputError: the tracking URI or the experiment is none that MLflow takes.
    """
    if tracking.name == "off":
        return tracking.model_copy(update={"experiment": tracking.experiment or DEFAULT_EXPERIMENT})
    experiment = tracking.experiment or environment_experiment() or DEFAULT_EXPERIMENT
    given, named = tracking.uri, environment_uri()
    uri = absolute_uri(given) if given is not None else named and absolute_uri(named, URI_VARIABLE)
    return tracking.model_copy(update={"uri": uri, "experiment": experiment})


def whole_setting(key: str, value: Any) -> Any:
    """Return the value of an override, whole where it is a path."""
    if key in PATHS and isinstance(value, str):
        return whole(value)
    return whole_start(value) if key == "start" and isinstance(value, str) else value


def whole(path: str | None) -> str | None:
    """Return a path as seen from the root, its ~ expanded."""
    return None if path is None else os.path.abspath(os.path.expanduser(path))


def whole_start(start: str | None) -> str | None:
    """Return RUN@CHECKPOINT with the whole path of the run."""
    if not start:
        return start
    path, name = split_start(start)
    return f"{whole(path)}@{name}" if name else whole(path)
