"""Gather the runs of a comparison: each once, under a unique name, and the reasons why others cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.evaluated_run import ComparedRun, read_compared_run
from infomcr_cli.report.run_paths import paths_of, runs_at, ways_to_name_runs
from infomcr_cli.runs import list_checkpoints
from infomcr_cli.runs.checkpoint import trained_on
from infomcr_cli.runs.directory import RunDirectory

DATA_ROOT = "data.root"


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
    for path in (path for name in names for path in paths_of(name, tracking_uri, runs_dir)):
        try:
            runs, broken = runs_at(path)
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


def with_data_axis(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Return the runs with `data.root` among the settings that make the weights, if they differ in their data.

    Two places hold the same data if runs of both were trained on the same images, or if it is not known for one of
    them which images its runs were trained on.
    """
    places = dict.fromkeys(run.config.get(DATA_ROOT) for run in runs)
    if len(places) < 2:
        return list(runs)
    found: dict[Any, set[str]] = {place: set() for place in places}  # place -> fingerprints of its data
    for run in runs:
        found[run.config.get(DATA_ROOT)] |= {fingerprint for fingerprint in [trained_on(run.directory)] if fingerprint}
    names: dict[Any, Any] = {}  # place -> the first place with the same data
    for place, prints in found.items():
        same = (name for name in dict.fromkeys(names.values()) if not prints or prints & found[name] or not found[name])
        names[place] = next(same, place)
    if len(set(names.values())) < 2:
        return list(runs)
    return [replace(run, settings={**run.settings, DATA_ROOT: names[run.config.get(DATA_ROOT)]}) for run in runs]


def _check_checkpoint(runs: Sequence[ComparedRun], checkpoint: str) -> None:
    """Raise InputError if no run has a checkpoint of that name, evaluated or not."""
    known = {"last", "best", *(name for run in runs for name in run.evaluations)}
    if checkpoint not in known:  # reads the folder of every run, so only now
        known |= {info.name for run in runs for info in list_checkpoints(run.directory)}
    if checkpoint not in known:
        raise InputError("no evaluation of that checkpoint", received=checkpoint, accepted=sorted(known))


def _nothing_to_compare(names: Sequence[str], unreadable: Mapping[str, str]) -> InputError:
    received = ", ".join(printable(name) for name in names) or "nothing"
    if not unreadable:
        return InputError("there is no run to compare", received=received, advice=ways_to_name_runs())
    reasons = "; ".join(f"{run}: {why}" for run, why in list(unreadable.items())[:3])
    more = f" (and {len(unreadable) - 3} more)" if len(unreadable) > 3 else ""
    return InputError(f"none of the runs can be read ({reasons}{more})", received=received)


def _reason(error: InputError | OSError) -> str:
    text = str(error) if isinstance(error, InputError) else error.strerror or str(error)
    return printable(text.rstrip("."), 300)
