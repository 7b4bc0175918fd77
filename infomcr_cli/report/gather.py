"""From what the user named to run directories: paths, quoted globs, a sweep's directory, an MLflow experiment."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infomcr_cli.errors import InputError
from infomcr_cli.runs.beneath import read_beneath
from infomcr_cli.runs.directory import RunDirectory, is_run
from infomcr_cli.runs.documents import MAX_DOCUMENT, parse_json, printable

MLFLOW = "mlflow:"
MOST_RUNS = 100_000
GAPS = {"error": "error gap", "loss": "loss gap", "test_error": "test error"}


def check_gap(gap: str) -> None:
    """Raise where a gap is none of `GAPS`.

    Raises: InputError: it is not.
    """
    if gap not in GAPS:
        raise InputError("the gap must be one that is recorded", received=gap, accepted=GAPS)


@dataclass(frozen=True)
class Gathered:
    """The runs that were found, each once, and a line on everything that is none."""

    runs: tuple[RunDirectory, ...]
    passed_over: tuple[str, ...]


def gather(names: Sequence[str], experiment: Callable[[str], Iterable[Path]]) -> Gathered:
    """Return the runs behind paths, globs, directories of runs and `mlflow:NAME`.

    Args:    experiment: gives the run directories of an MLflow experiment.
    Raises:  InputError: a path does not exist, a glob matches nothing, or there is no run at all.
    """
    found: dict[Path, RunDirectory] = {}
    passed: list[str] = []
    for path in (path for name in names for path in _paths(name, experiment)):
        runs = [path] if is_run(path) else _inside(path)
        if not runs:
            passed.append(f"{printable(str(path))} is no run and holds none")
        for run in map(RunDirectory.open, runs):
            found.setdefault(run.path, run)
    if not found:
        received = ", ".join(printable(name) for name in names) or "nothing"
        raise InputError("there must be at least one run to compare", received=received, advice=_ADVICE)
    return Gathered(tuple(found.values()), tuple(passed))


_ADVICE = "Name run directories, a quoted glob, a sweep's directory or mlflow:EXPERIMENT; `infomcr runs` lists them."


def _paths(name: str, experiment: Callable[[str], Iterable[Path]]) -> list[Path]:
    if name.startswith(MLFLOW):
        return list(experiment(name.removeprefix(MLFLOW)))
    if os.path.lexists(name):
        return [Path(name)]
    if glob.has_magic(name):
        if not (matches := sorted(glob.glob(name))):
            raise InputError("a pattern must match something", received=printable(name), advice=_ADVICE)
        return [Path(match) for match in matches]
    RunDirectory.open(name)  # raises, naming the nearest run
    return []


def _inside(folder: Path) -> list[Path]:
    """Return the runs in a directory of runs, or those that a sweep's directory lists."""
    if not folder.is_dir():
        return []
    if (folder / "sweep.json").is_file():
        return _of_sweep(folder)
    for pattern in ("*", "*/*"):
        if runs := sorted(path for path in folder.glob(pattern) if is_run(path))[:MOST_RUNS]:
            return runs
    return []


def _of_sweep(folder: Path) -> list[Path]:
    """Return the runs that sweep.json lists; what is none is passed over."""
    document = parse_json(read_beneath(folder, "sweep.json", MAX_DOCUMENT), f"sweep.json of {printable(folder.name)}")
    jobs = document.get("jobs") if isinstance(document, dict) else None
    listed = [job.get("run") for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    found = (_of_job(folder, Path(run)) for run in listed if isinstance(run, str))
    return [run for run in found if run is not None]


def _of_job(folder: Path, listed: Path) -> Path | None:
    """Return the run of a job where it lies now: those of a project that was moved or copied came along with it."""
    around = Path(os.path.abspath(folder)).parent.parent
    places = (around / listed.parent.name / listed.name, around / listed.name, listed)
    return next(filter(is_run, places), None)
