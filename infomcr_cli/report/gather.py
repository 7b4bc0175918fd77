"""From what the user named to run directories: paths, quoted globs, a sweep's directory, an MLflow experiment."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.evaluated_run import EvaluatedRun, read_evaluated_run
from infomcr_cli.runs.directory import RunDirectory, is_run, where_runs_are
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, parse_json
from infomcr_cli.runs.io.safe_files import read_file

MLFLOW = "mlflow:"
MOST_RUNS = 100_000
GAPS = {"error": "error gap", "loss": "loss gap", "test_error": "test error"}


def check_gap(gap: str) -> None:
    """Raise where a gap is none of `GAPS`.

    Raises:
        InputError: it is not.
    """
    if gap not in GAPS:
        raise InputError("the gap must be one that is recorded", received=gap, accepted=GAPS)


@dataclass(frozen=True)
class Gathered:
    """The runs that were found, each once, a line on everything that is none, and why a run cannot be read."""

    entries: tuple[EvaluatedRun, ...]
    passed_over: tuple[str, ...]
    unreadable: Mapping[str, str]


def gather(names: Sequence[str], experiment: Callable[[str], Iterable[Path]], checkpoint: str = "last") -> Gathered:
    """Return the runs behind paths, globs, directories of runs and `mlflow:NAME`; one that cannot be read is left out.

    Args:
        experiment: gives the run directories of an MLflow experiment.
        checkpoint: whose evaluation is read.

    Raises:
        InputError: a path does not exist, a glob matches nothing, or there is no run that can be read.
    """
    found: dict[Path, EvaluatedRun] = {}
    passed: list[str] = []
    unreadable: dict[str, str] = {}
    for path in (path for name in names for path in _paths(name, experiment)):
        try:
            runs, broken = _at(path)
        except (InputError, OSError) as error:
            runs, broken = [], {path: _reason(error)}
        if not runs and not broken:
            passed.append(f"{printable(str(path))} is no run and holds none")
        unreadable |= {printable(str(one)): why for one, why in broken.items()}
        for one in runs:
            try:
                run = RunDirectory.open(one)
                if run.path not in found:
                    found[run.path] = read_evaluated_run(run, checkpoint)
            except (InputError, OSError) as error:
                unreadable[printable(str(one))] = _reason(error)
    if not found:
        _refuse_nothing(names, unreadable)
    return Gathered(tuple(found.values()), tuple(passed), unreadable)


def _advice() -> str:
    ways = "Name run directories, a quoted glob, a sweep's directory or mlflow:EXPERIMENT."
    return " ".join(filter(None, (ways, where_runs_are(Path("runs")))))


def _refuse_nothing(names: Sequence[str], unreadable: Mapping[str, str]) -> None:
    received = ", ".join(printable(name) for name in names) or "nothing"
    if not unreadable:
        raise InputError("there must be at least one run to compare", received=received, advice=_advice())
    reasons = "; ".join(f"{run}: {why}" for run, why in list(unreadable.items())[:3])
    more = f" (and {len(unreadable) - 3} more)" if len(unreadable) > 3 else ""
    raise InputError(f"there must be at least one run that can be read ({reasons}{more})", received=received)


def _reason(error: InputError | OSError) -> str:
    text = str(error) if isinstance(error, InputError) else error.strerror or str(error)
    return printable(text.rstrip("."), 300)


def _paths(name: str, experiment: Callable[[str], Iterable[Path]]) -> list[Path]:
    if name.startswith(MLFLOW):
        return list(experiment(name.removeprefix(MLFLOW)))
    if os.path.lexists(name):
        return [Path(name)]
    if glob.has_magic(name):
        if not (matches := sorted(glob.glob(name))):
            raise InputError("a pattern must match something", received=printable(name), advice=_advice())
        return [Path(match) for match in matches]
    RunDirectory.open(name)  # raises, naming the nearest run
    return []


def _at(path: Path) -> tuple[list[Path], dict[Path, str]]:
    """Return the run at a path, or the runs in it, and what was a run and is broken, with the reason.

    Raises:
        OSError: the path cannot be looked into. InputError: sweep.json in it is damaged.
    """
    if is_run(path):
        return [path], {}
    if why := _broken(path):
        return [], {path: why}
    if not path.is_dir():
        return [], {}
    if (path / "sweep.json").is_file():
        listed = _of_sweep(path)
        runs = [run for run in listed if is_run(run)]
        return runs, {run: why for run in listed if not is_run(run) and (why := _broken(run))}
    broken: dict[Path, str] = {}
    for pattern in ("*", "*/*"):
        inside = sorted(path.glob(pattern))
        broken |= {one: why for one in inside[:MOST_RUNS] if not is_run(one) and (why := _broken(one))}
        if runs := [one for one in inside if is_run(one)][:MOST_RUNS]:
            return runs, broken
    return [], broken


def _broken(path: Path) -> str | None:
    """Return why what was a run is none any more; None for what never was one."""
    if path.is_symlink() and not path.exists():
        return "it is a link to nothing"
    if path.name.startswith(".") or not path.is_dir():
        return None
    if not os.access(path, os.R_OK | os.X_OK):
        return "Permission denied"
    for name in ("config.yaml", "status.json"):
        if os.path.lexists(path / name) and not (path / name).is_file():
            return f"{name} must be a plain file"
    there = [name for name in ("config.yaml", "status.json") if (path / name).is_file()]
    is_part = bool(there) and (path / "checkpoints").is_dir()  # a configuration alone is no run
    return f"{' and '.join({'config.yaml', 'status.json'} - {*there})} is missing" if is_part else None


def _of_sweep(folder: Path) -> list[Path]:
    """Return the run directories that sweep.json lists, whether they are there or not."""
    document = parse_json(read_file(folder, "sweep.json", MAX_DOCUMENT), f"sweep.json of {printable(folder.name)}")
    jobs = document.get("jobs") if isinstance(document, dict) else None
    listed = [job.get("run") for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    found = (_of_job(folder, Path(run)) for run in listed if isinstance(run, str))
    return [run for run in found if run is not None]


def _of_job(folder: Path, listed: Path) -> Path | None:
    """Return the run of a job where it lies now: those of a project that was moved or copied came along with it."""
    around = Path(os.path.abspath(folder)).parent.parent
    places = (around / listed.parent.name / listed.name, around / listed.name, listed)
    return next(filter(is_run, places), None)
