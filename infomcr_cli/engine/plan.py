"""Plan the jobs of a grid: find existing runs, and choose directories for the others."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from infomcr_cli.config.grid import GridPoint
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import redact_override
from infomcr_cli.data import check_source
from infomcr_cli.engine.existing_runs import ExistingRuns, place_of
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.up_to_date import is_measured
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, read_status
from infomcr_cli.runs.identity import HEAD, identity, with_other_data


def plan(points: Sequence[GridPoint]) -> list[Job]:
    """Return one job per distinct point, in order.

    Raises:
        InputError: two points differ in nothing that makes weights, or the data of one is not there.
    """
    unique: dict[tuple[str, str | None], GridPoint] = {}
    for point in points:
        first = unique.setdefault((identity(point.config), place_of(point.config.data)), point)
        # The user expects two runs of two points that differ in other settings, and would get one.
        if first is not point and _resolved(first.config) != _resolved(point.config):
            raise _same_run(first, point)
    for data in {point.config.data for point in unique.values()}:
        check_source(data)
    folder = Path(os.path.abspath(points[0].config.runs_dir))
    found = ExistingRuns(folder)
    common = set.intersection(*(set(point.overrides) for point in unique.values())) if len(unique) > 1 else set()
    sets_of_data = Counter(hashed for hashed, _ in unique)
    jobs = []
    for (hashed, place), point in unique.items():
        # Points may have the same settings for different data: then the path of the data tells their runs apart.
        own = with_other_data(hashed, str(place)) if sets_of_data[hashed] > 1 else hashed
        label = " ".join(redact_override(text) for text in point.overrides if text not in common)
        jobs.append(job_of(own, point, label, folder, found))
    return jobs


def _resolved(config: RunConfig) -> RunConfig:
    """Return the settings without the way they were written; matched compute or not does not matter."""
    schedule = config.schedule.model_copy(update={"match_compute": False})
    return config.model_copy(update={"choices": {}, "schedule": schedule})


def _same_run(first: GridPoint, second: GridPoint) -> InputError:
    mine = [text for text in first.overrides if text not in second.overrides]
    other = [text for text in second.overrides if text not in first.overrides]
    return InputError(
        "the jobs of a sweep must differ in settings that change the weights",
        received=f"{' '.join(mine)} and {' '.join(other)}",
        advice="Give one value: measure, device and tracking apply to the whole sweep.",
    )


def job_of(hashed: str, point: GridPoint, label: str, folder: Path, found: ExistingRuns) -> Job:
    """Return the job of an existing or a new run.

    Args:
        hashed: its identity.
        label:  what tells it from other jobs.
        folder: of the runs.
    """
    overrides = tuple(map(redact_override, point.overrides))  # they are shown, and written to files
    run = found.run_of(hashed, point.config)
    if run is None:
        config = point.config
        name = re.sub(r"[^\w.-]", "_", f"{config.model.name}-{config.reg.name}-{hashed[:HEAD]}")
        return Job(hashed, overrides, label, config, folder / name)
    return as_found_now(Job(hashed, overrides, label, point.config, run.path))


def as_found_now(job: Job) -> Job:
    """Return a job with the current state of its run directory."""
    run = RunDirectory.open(job.run)
    status = read_status(run)
    measured = is_measured(run, status.step, job.config.measure)
    return replace(job, state=status.state, reason=status.reason, measured=measured)
