"""Where the runs of a comparison lie: behind paths, quoted globs, a sweep's directory, an MLflow experiment."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory, is_run, where_runs_are
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, parse_json
from infomcr_cli.runs.io.safe_files import read_file
from infomcr_cli.runs.status import read_status_file

MLFLOW = "mlflow:"
MOST_RUNS = 100_000


def paths_of(name: str, tracking_uri: str | None, runs_dir: str) -> list[Path]:
    """Return the paths behind a path, a glob or `mlflow:EXPERIMENT`.

    Raises:
        InputError: there is nothing.
    """
    if name.startswith(MLFLOW):
        return _runs_of_experiment(name.removeprefix(MLFLOW), tracking_uri, runs_dir)
    if os.path.lexists(name):
        return [Path(name)]
    if glob.has_magic(name):
        if not (matches := sorted(glob.glob(name))):
            raise InputError("the pattern matches nothing", received=printable(name), advice=ways_to_name_runs())
        return [Path(match) for match in matches]
    RunDirectory.open(name)  # raises and names the nearest run
    return []


def runs_at(path: Path) -> tuple[list[Path], dict[Path, str]]:
    """Return the run at a path or the runs in it, and the broken runs with the reason.

    Raises:
        OSError: the path cannot be read.
        InputError: its sweep.json is damaged.
    """
    if is_run(path):
        return [path], {}
    if why := _why_broken(path):
        return [], {path: why}
    if not path.is_dir():
        return [], {}
    if (path / "sweep.json").is_file():
        listed = _runs_of_sweep(path)
        runs = [run for run in listed if is_run(run)]
        return runs, {run: why for run in listed if not is_run(run) and (why := _why_broken(run))}
    broken: dict[Path, str] = {}
    for pattern in ("*", "*/*"):  # a folder of runs, else a folder of such folders
        inside = [
            one for one in sorted(path.glob(pattern)) if not one.parent.name.startswith(".") or one.parent == path
        ]
        broken |= {one: why for one in inside[:MOST_RUNS] if not is_run(one) and (why := _why_broken(one))}
        if runs := [one for one in inside if is_run(one)][:MOST_RUNS]:
            return runs, broken
    return [], broken


def ways_to_name_runs() -> str:
    """Return the advice for a user who named no run."""
    ways = "Give run directories, a quoted glob, a sweep's directory or mlflow:EXPERIMENT."
    return " ".join(filter(None, (ways, where_runs_are(Path("runs")))))


def _runs_of_experiment(name: str, tracking_uri: str | None, runs_dir: str) -> list[Path]:
    from infomcr_cli.runs.surroundings import existing_store_folder
    from infomcr_cli.tracking.parents import run_directories_of_experiment
    from infomcr_cli.tracking.store import sqlite_path, store_of

    if not name.strip():
        raise InputError("there is no such MLflow experiment", received=f"mlflow:{name}")
    store = store_of(tracking_uri, name, runs_dir, folder=existing_store_folder(runs_dir))
    if (path := sqlite_path(store.uri)) is not None and not path.exists():  # MLflow would create an empty one
        advice = "Train a run first, or give --tracking-uri."
        raise InputError("no MLflow store found", received=str(path), advice=advice)
    try:
        found = run_directories_of_experiment(store)
    except Exception as error:  # MLflow raises whatever its store raises
        rule = f"the MLflow experiment must be readable ({redact(str(error))[:300]})"
        raise InputError(rule, received=f"{name} in {store.shown}") from None
    if not found:
        raise InputError("the MLflow experiment has no runs of this machine", received=f"{name} in {store.shown}")
    return found


def _why_broken(path: Path) -> str | None:
    """Return why a path is a broken run; None if it never was a run."""
    if path.is_symlink() and not path.exists():
        return "it is a broken link"
    if path.name.startswith(".") or not path.is_dir():
        return None
    if not os.access(path, os.R_OK | os.X_OK):
        return "Permission denied"
    for name in ("config.yaml", "status.json"):
        if os.path.lexists(path / name) and not (path / name).is_file():
            return f"{name} must be a regular file"
    there = [name for name in ("config.yaml", "status.json") if (path / name).is_file()]
    is_part = bool(there) and (path / "checkpoints").is_dir()  # a configuration alone is not a run
    return f"{' and '.join({'config.yaml', 'status.json'} - {*there})} is missing" if is_part else None


def _runs_of_sweep(folder: Path) -> list[Path]:
    """Return the run directories that sweep.json lists, whether they exist or not; what a search pruned is left out."""
    document = parse_json(read_file(folder, "sweep.json", MAX_DOCUMENT), f"sweep.json of {printable(folder.name)}")
    jobs = document.get("jobs") if isinstance(document, dict) else None
    listed = [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    found = ((job, _run_of_job(folder, Path(run))) for job in listed if isinstance(run := job.get("run"), str))
    return [run for job, run in found if run is not None and not (job.get("pruned") and _is_pruned(run))]


def _is_pruned(run: Path) -> bool:
    """Return whether a run is as a search left it when it ended it early."""
    try:
        return read_status_file(run).pruned_at is not None
    except (InputError, OSError):
        return False


def _run_of_job(folder: Path, listed: Path) -> Path | None:
    """Return the present place of a job's run, whole or broken: if the project was moved, its runs moved with it."""
    around = Path(os.path.abspath(folder)).parent.parent
    places = (around / listed.parent.name / listed.name, around / listed.name, listed)
    return next(filter(is_run, places), None) or next(filter(_why_broken, places), None)
