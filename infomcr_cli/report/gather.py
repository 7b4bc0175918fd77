"""Find the runs of a comparison: paths, quoted globs, a sweep's directory, an MLflow experiment."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import with_data_axis
from infomcr_cli.report.evaluated_run import ComparedRun, read_compared_run
from infomcr_cli.runs import list_checkpoints
from infomcr_cli.runs.directory import RunDirectory, is_run, where_runs_are
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, parse_json
from infomcr_cli.runs.io.safe_files import read_file
from infomcr_cli.runs.status import read_status_file

if TYPE_CHECKING:
    from infomcr_cli.report.search import SearchReport

MLFLOW = "mlflow:"
MOST_RUNS = 100_000
GAPS = {"error": "error gap", "loss": "loss gap", "test_error": "test error"}


@dataclass(frozen=True)
class Gathered:
    """The runs that were found.

    Attributes:
        runs:       each once, with unique names.
        skipped:    a line on each path without a run.
        unreadable: run → why it cannot be read.
    """

    runs: tuple[ComparedRun, ...]
    skipped: tuple[str, ...]
    unreadable: Mapping[str, str]


def check_gap(gap: str) -> None:
    """Raise unless a gap is one of `GAPS`.

    Raises:
        InputError: it is not.
    """
    if gap not in GAPS:
        raise InputError("--gap must be a recorded gap", received=gap, accepted=GAPS)


def gather(
    names: Sequence[str], *, checkpoint: str = "last", tracking_uri: str | None = None, runs_dir: str = "runs"
) -> Gathered:
    """Return the runs behind paths, globs, directories of runs and `mlflow:NAME`, without those that cannot be read.

    Args:
        checkpoint:   whose evaluation is read.
        tracking_uri: the store of an MLflow experiment; None: the one beside `runs_dir`.

    Raises:
        InputError: a path does not exist, a glob matches nothing, there is no run that can be read, or no run has
            that checkpoint.
    """
    found: dict[Path, ComparedRun] = {}
    skipped: list[str] = []
    unreadable: dict[str, str] = {}
    for path in (path for name in names for path in _paths(name, tracking_uri, runs_dir)):
        try:
            runs, broken = _runs_at(path)
        except (InputError, OSError) as error:
            runs, broken = [], {path: _reason(error)}
        if not runs and not broken:
            skipped.append(f"{printable(str(path))}: neither a run nor a directory of runs")
        unreadable |= {printable(str(one)): why for one, why in broken.items()}
        for one in runs:
            try:
                run = RunDirectory.open(one)
                if run.path not in found:
                    found[run.path] = read_compared_run(run, checkpoint)
            except (InputError, OSError) as error:
                unreadable[printable(str(one))] = _reason(error)
    if not found:
        raise _nothing_to_compare(names, unreadable)
    _check_checkpoint(list(found.values()), checkpoint)
    return Gathered(tuple(with_data_axis(unique_names(list(found.values())))), tuple(skipped), unreadable)


def unique_names(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Return the runs with unique names: those that share one get that of their parent directory, then a number."""
    counts = Counter(run.name for run in runs)
    longer = []
    for run in runs:
        path = run.directory.path
        longer.append(replace(run, name=printable(f"{path.parent.name}/{path.name}")) if counts[run.name] > 1 else run)
    counts, seen = Counter(run.name for run in longer), Counter[str]()
    unique = []
    for run in longer:
        seen[run.name] += 1
        unique.append(replace(run, name=f"{run.name} ({seen[run.name]})") if counts[run.name] > 1 else run)
    return unique


def _check_checkpoint(runs: Sequence[ComparedRun], checkpoint: str) -> None:
    """Raise InputError if no run has a checkpoint of that name, evaluated or not."""
    known = {"last", "best", *(name for run in runs for name in run.evaluations)}
    if checkpoint not in known:
        known |= {info.name for run in runs for info in list_checkpoints(run.directory)}
    if checkpoint not in known:
        raise InputError("no evaluation of that checkpoint", received=checkpoint, accepted=sorted(known))


def _advice() -> str:
    ways = "Give run directories, a quoted glob, a sweep's directory or mlflow:EXPERIMENT."
    return " ".join(filter(None, (ways, where_runs_are(Path("runs")))))


def _nothing_to_compare(names: Sequence[str], unreadable: Mapping[str, str]) -> InputError:
    received = ", ".join(printable(name) for name in names) or "nothing"
    if not unreadable:
        return InputError("there is no run to compare", received=received, advice=_advice())
    reasons = "; ".join(f"{run}: {why}" for run, why in list(unreadable.items())[:3])
    more = f" (and {len(unreadable) - 3} more)" if len(unreadable) > 3 else ""
    return InputError(f"none of the runs can be read ({reasons}{more})", received=received)


def _reason(error: InputError | OSError) -> str:
    text = str(error) if isinstance(error, InputError) else error.strerror or str(error)
    return printable(text.rstrip("."), 300)


def _paths(name: str, tracking_uri: str | None, runs_dir: str) -> list[Path]:
    if name.startswith(MLFLOW):
        return _runs_of_experiment(name.removeprefix(MLFLOW), tracking_uri, runs_dir)
    if os.path.lexists(name):
        return [Path(name)]
    if glob.has_magic(name):
        if not (matches := sorted(glob.glob(name))):
            raise InputError("the pattern matches nothing", received=printable(name), advice=_advice())
        return [Path(match) for match in matches]
    RunDirectory.open(name)  # raises and names the nearest run
    return []


def _runs_of_experiment(name: str, tracking_uri: str | None, runs_dir: str) -> list[Path]:
    from infomcr_cli.runs.surroundings import existing_store_folder
    from infomcr_cli.tracking.parents import run_directories_of_experiment
    from infomcr_cli.tracking.store import store_of

    if not name.strip():
        raise InputError("there is no such MLflow experiment", received=f"mlflow:{name}")
    store = store_of(tracking_uri, name, runs_dir, folder=existing_store_folder(runs_dir))
    try:
        found = run_directories_of_experiment(store)
    except Exception as error:  # MLflow raises whatever its store raises
        rule = f"the MLflow experiment must be readable ({redact(str(error))[:300]})"
        raise InputError(rule, received=f"{name} in {store.shown}") from None
    if not found:
        raise InputError("the MLflow experiment has no runs of this machine", received=f"{name} in {store.shown}")
    return found


def _runs_at(path: Path) -> tuple[list[Path], dict[Path, str]]:
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
    for pattern in ("*", "*/*"):
        inside = [
            one for one in sorted(path.glob(pattern)) if not one.parent.name.startswith(".") or one.parent == path
        ]
        broken |= {one: why for one in inside[:MOST_RUNS] if not is_run(one) and (why := _why_broken(one))}
        if runs := [one for one in inside if is_run(one)][:MOST_RUNS]:
            return runs, broken
    return [], broken


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


def uid_of_sweep(names: Sequence[str]) -> str | None:
    """Return the uid of the sweep whose directory is the only one that is named; None: something else is named."""
    if len(names) != 1 or not (Path(names[0]) / "sweep.json").is_file():
        return None
    document = parse_json(read_file(Path(names[0]), "sweep.json", MAX_DOCUMENT), "sweep.json")
    uid = document.get("uid") if isinstance(document, dict) else None
    return uid if isinstance(uid, str) and re.fullmatch("[0-9a-f]{32}", uid) else None


def search_of(names: Sequence[str]) -> SearchReport | None:
    """Return what the search found whose directory is the only one that is named; None: something else is named.

    Raises:
        InputError: its search.json is not what this program writes.
    """
    from infomcr_cli.report.search import read_search

    return read_search(Path(names[0])) if len(names) == 1 else None


def chosen_by_test(names: Sequence[str]) -> list[str]:
    """Return the names of the sweeps, among several or in a pattern, whose search used the test set."""
    from infomcr_cli.report.search import read_search

    folders = [path for name in names for path in ([name] if os.path.lexists(name) else sorted(glob.glob(name)))]
    found: list[str] = []
    for folder in map(Path, folders):
        with suppress(InputError, OSError):
            search = read_search(folder)
            found += [printable(folder.name)] if search is not None and search.uses_test else []
    return found


def _run_of_job(folder: Path, listed: Path) -> Path | None:
    """Return the present place of a job's run, whole or broken: if the project was moved, its runs moved with it."""
    around = Path(os.path.abspath(folder)).parent.parent
    places = (around / listed.parent.name / listed.name, around / listed.name, listed)
    return next(filter(is_run, places), None) or next(filter(_why_broken, places), None)
