"""Update the absolute paths in a SQLite store that was moved or copied.

MLflow keeps the absolute path of a run's artifacts in its tables and has no call to change it. An experiment of infomcr
keeps its artifacts beside the store's file. If its location is another folder, the experiment either came here with the
file or was made for artifacts elsewhere. Where the artifacts of its runs lie tells which.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from infomcr_cli.tracking.store import Store, sqlite_path

SECONDS_TO_WAIT = 30.0  # for another process to end its transaction
DIRECTORY_TAG = "infomcr.directory"
_COLUMNS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
_log = logging.getLogger("infomcr.runs")


def settle(store: Store) -> None:
    """Update the artifact and run paths in a local store that was moved or copied.

    A store that cannot be read or written stays as it is: MLflow reports what is wrong with it.
    """
    path = sqlite_path(store.uri)
    if path is None or store.artifacts is None or not path.exists():
        return
    try:
        # As a context manager of its own, a connection only ends its transaction, and stays open.
        with closing(sqlite3.connect(path, timeout=SECONDS_TO_WAIT)) as database:
            for old in _former_places(database, path.parent):
                _move(database, old, store.artifacts)
                _move_directories(database, _local(old).parent, path.parent)
                _log.info("The artifacts of %s were in %s.", path, old)
    except sqlite3.Error as error:
        _log.info("%s: %s", path, error)


def keep_default_artifacts(path: Path, place: str) -> None:
    """Let MLflow's own experiment Default, in a new store, keep its artifacts at `place`, not in the working folder."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (place,))


def _former_places(database: sqlite3.Connection, folder: Path) -> list[str]:
    """Return the artifact locations of experiments that were moved to `folder` with the store."""
    rows = database.execute("SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location IS NOT NULL")
    here = folder / "artifacts"
    named = [place for (place,) in rows.fetchall() if _local(place).name == here.name]
    foreign = [place for place in named if os.path.realpath(_local(place)) != os.path.realpath(here)]
    return [place for place in foreign if _came_along(database, place, here)]


def _came_along(database: sqlite3.Connection, old: str, here: Path) -> bool:
    """Return whether an experiment's artifacts are here; if it has none, whether its folder had this name."""
    query = "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) WHERE artifact_location = ?"
    runs = [run for (run,) in database.execute(query, (old,))]
    if any(os.path.isdir(here / run) for run in runs):
        return True
    unused = not any(os.path.isdir(_local(old) / run) for run in runs)
    return unused and _local(old).parent.name == here.parent.name and not os.path.isdir(_local(old))


def _move(database: sqlite3.Connection, old: str, new: str) -> None:
    length = len(old) + 1
    with database:
        for table, column in _existing(database):
            change = f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
            which = f"WHERE {column} = ? OR substr({column}, 1, ?) = ?"  # not LIKE: a path may contain % or _
            database.execute(f"{change} {which}", (new, length, old, length, f"{old}/"))


def _existing(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield the tables, with their columns, that hold places of artifacts in this version of MLflow."""
    for table, column in _COLUMNS:
        with suppress(sqlite3.OperationalError):
            database.execute(f"SELECT {column} FROM {table} LIMIT 0")
            yield table, column


def _move_directories(database: sqlite3.Connection, old: Path, new: Path) -> None:
    """Update the tags of the runs whose directories were moved with the store: the directories are found by them."""
    rows = database.execute("SELECT run_uuid, value FROM tags WHERE key = ?", (DIRECTORY_TAG,)).fetchall()
    moved = [(os.path.normpath(new / os.path.relpath(place, old)), run) for run, place in rows if os.path.isabs(place)]
    there = [(place, run, DIRECTORY_TAG) for place, run in moved if os.path.isdir(place)]
    with database:
        database.executemany("UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?", there)


def _local(place: str) -> Path:
    """Return a location as a path, if it is a local folder."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(place) if os.path.isabs(place) else Path("/")
