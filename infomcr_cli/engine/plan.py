"""From the points of a grid to jobs: which runs there are already, and where the others will be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from infomcr_cli.config.grid import Point
from infomcr_cli.config.identity import identity
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.data import check_source
from infomcr_cli.engine.asked import is_measured
from infomcr_cli.engine.job import ID_LENGTH, Job
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, Status, is_run, read_status
from infomcr_cli.runs.redaction import redact_override
from infomcr_cli.runs.status import read_status_file

# Of several runs of one identity the one that is furthest is taken.
_RANK = [State.FINISHED, State.RUNNING, State.KILLED, State.LOST, State.FAILED]


def plan(points: Sequence[Point]) -> list[Job]:
    """Return a job for each run that the points describe, in their order; equal points make one job.

    Raises: InputError: two points differ in nothing that makes weights, or the data of one is not there.
    """
    unique: dict[str, Point] = {}
    for point in points:
        first = unique.setdefault(identity(point.config), point)
        if first is not point and _differ(first, point):
            raise _same_run(first, point)
    for data in {point.config.data for point in unique.values()}:
        check_source(data)
    folder = Path(os.path.abspath(points[0].config.runs_dir))
    found = _runs_by_identity(folder)
    common = set.intersection(*(set(point.overrides) for point in unique.values())) if len(unique) > 1 else set()
    return [_job(hashed, point, common, folder, found.get(hashed)) for hashed, point in unique.items()]


def _differ(first: Point, second: Point) -> bool:
    """Settings that leave the weights as they are differ: the user would get one run where two were asked for."""
    return _resolved(first.config) != _resolved(second.config)


def _resolved(config: RunConfig) -> RunConfig:
    """Leave out by what words the settings came about: what reg=on costs is what it costs, matched or not."""
    schedule = config.schedule.model_copy(update={"match_compute": False})
    return config.model_copy(update={"choices": {}, "schedule": schedule})


def _same_run(first: Point, second: Point) -> InputError:
    mine = [text for text in first.overrides if text not in second.overrides]
    other = [text for text in second.overrides if text not in first.overrides]
    return InputError(
        "the jobs of a sweep must differ in what makes their weights",
        received=f"{' '.join(mine)} and {' '.join(other)}",
        advice="Give one value; measure, device and tracking are chosen for the whole sweep.",
    )


def _job(hashed: str, point: Point, common: set[str], folder: Path, found: tuple[Path, Status] | None) -> Job:
    overrides = tuple(map(redact_override, point.overrides))  # what a job is called by is shown and written
    label = " ".join(redact_override(text) for text in point.overrides if text not in common)
    if found is None:
        config = point.config
        name = re.sub(r"[^\w.-]", "_", f"{config.model.name}-{config.reg.name}-{hashed[:ID_LENGTH]}")
        return Job(hashed, overrides, label, config, folder / name)
    run = RunDirectory.open(found[0])
    status = read_status(run)
    measured = is_measured(run, status.step, point.config.measure)
    return Job(hashed, overrides, label, point.config, run.path, status.state, status.reason, measured)


def _runs_by_identity(folder: Path) -> dict[str, tuple[Path, Status]]:
    """Return the furthest run of each identity; what cannot be read is nobody's."""
    best: dict[str, tuple[Path, Status]] = {}
    for path in _runs_in(folder):
        try:
            status = read_status_file(path)
        except (InputError, OSError):
            continue
        held = best.get(status.identity)
        if held is None or _rank(status) < _rank(held[1]):
            best[status.identity] = (path, status)
    return best


def _runs_in(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.iterdir()) if is_run(path)) if folder.is_dir() else ()


def _rank(status: Status) -> tuple[int, int]:
    return (_RANK.index(status.state) if status.state in _RANK else len(_RANK), -status.step)
