"""Resolve the paths that a run directory records, after it was moved, copied or linked.

Absolute paths are recorded, and status.json records the place where the run was made. If a path no longer exists, it is
searched at the same position relative to the run's present place, so data that was moved along with the project is
found. Runs of former versions may hold relative paths. These are taken relative to the folder around the folder of
runs, then to the folder of runs, then to the working folder: the first that exists.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from infomcr_cli.config.schema.experiment_name import fitting_experiment
from infomcr_cli.runs.directory import RunDirectory, split_start
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.status import Status, read_status_file
from infomcr_cli.tracking.store import sqlite_path


def read_settings(run: RunDirectory) -> Any:
    """Return the settings in config.yaml of a run, with resolved paths.

    Raises:
        InputError: it is no plain YAML.
    """
    settings = parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    if not isinstance(settings, dict):
        return settings
    data, start, tracking = (settings.get(key) for key in ("data", "start", "tracking"))
    if isinstance(data, dict) and isinstance(data.get("root"), str):
        settings["data"] = {**data, "root": located(run, data["root"])}
    if isinstance(start, str):
        path, name = split_start(start)
        settings["start"] = located(run, path) + (f"@{name}" if name else "")
    if isinstance(tracking, dict):
        present = dict(tracking)
        if isinstance(tracking.get("uri"), str):
            present["uri"] = located_uri(run, tracking["uri"])
        if isinstance(tracking.get("experiment"), str):
            present["experiment"] = fitting_experiment(tracking["experiment"])
        settings["tracking"] = present
    return settings


def located(run: RunDirectory, recorded: str) -> str:
    """Return the present path for a recorded one; the most likely one if it does not exist."""
    path = os.path.expanduser(recorded)
    if not os.path.isabs(path):
        around = (run.path.parent.parent, run.path.parent, Path.cwd())
        places = [os.path.normpath(folder / path) for folder in around]
    else:
        place = _status(run).place
        moved = place is not None and os.path.isabs(place)
        beside = os.path.normpath(home_of(run) / os.path.relpath(path, place)) if moved else path
        places = [path, beside]
    return next(filter(os.path.exists, places), places[0])


def located_uri(run: RunDirectory, uri: str) -> str:
    """Return a recorded tracking URI, with the present path of a SQLite file."""
    if sqlite_path(uri) is None:
        return uri
    scheme, _, rest = uri.partition("://")
    file, mark, query = rest.partition("?")
    return f"{scheme}:///{located(run, file.removeprefix('/'))}{mark}{query}"


def home_of(run: RunDirectory) -> Path:
    """Return the path for resolving a run's surroundings: the recorded one while it leads to the run.

    A run that was moved to a larger disk, with a link at its former place, still belongs to that place.
    """
    place = _status(run).place
    if place is not None and os.path.isabs(place):
        try:
            return Path(place) if os.path.samefile(place, run.path) else run.path
        except (OSError, ValueError):
            return run.path
    return run.path


def default_store(run: RunDirectory) -> Path:
    """Return the folder of the MLflow store that belongs to a run whose settings name none."""
    return Path(os.path.normpath(home_of(run) / _status(run).store))


def _status(run: RunDirectory) -> Status:
    return read_status_file(run.path)
