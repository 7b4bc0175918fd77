"""Plan a sweep: its settings, its jobs, and the jobs that are still to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.config.exclude import parse_exclusions
from infomcr_cli.config.grid import expand
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.sweep_settings import OF_A_SEARCH, SweepArguments, split_arguments
from infomcr_cli.engine.directory import name_of
from infomcr_cli.engine.factory import check_engine
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.plan import plan
from infomcr_cli.engine.preflight import check_settings, check_start
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs import State
from infomcr_cli.runs.directory import check_folder
from infomcr_cli.tracking.store import Store, store_of

if TYPE_CHECKING:
    from infomcr_cli.engine.search.plan import SearchPlan

_UNNAMED = ("engine", "tracking", "runs_dir", "device")
_NAMED = ("exclude", *(name for name in OF_A_SEARCH if name not in ("trials", "allow_test")))  # of sweep.


@dataclass(frozen=True)
class SweepPlan:
    """The plan of a sweep.

    Args:
        overrides: as given on the command line.
        due:       the jobs that are not done.
        store:     where its runs are mirrored; None: nowhere.
        search:    what is searched; None: every combination is done, and `jobs` has them all.
    """

    overrides: Sequence[str]
    settings: SweepConfig
    jobs: Sequence[Job]
    due: Sequence[Job]
    store: Store | None
    search: SearchPlan | None = None

    @property
    def config(self) -> RunConfig:
        """The settings that all runs of the sweep share."""
        return self.jobs[0].config if self.search is None else self.search.base

    @property
    def runs_dir(self) -> str:
        """The folder of the runs."""
        return self.config.runs_dir

    @property
    def name(self) -> str:
        """The given name, or one made of what is swept: engine, tracking, device and folder do not count."""
        return self.settings.name or name_of([text for text in self.overrides if not is_unnamed(text)])


def plan_sweep(overrides: Sequence[str], config_dir: Path | None, *, retry_failed: bool = False) -> SweepPlan:
    """Return the plan of a sweep.

    Args:
        retry_failed: failed jobs are due again.

    Raises:
        InputError: the settings of the sweep, or of a job, cannot be used; nothing has been made.
    """
    arguments = split_arguments(overrides, config_dir)
    settings = arguments.sweep
    if settings.search is not None:
        return _planned_search(overrides, arguments, config_dir)
    points = expand(arguments.overrides, config_dir, parse_exclusions(settings.exclude, config_dir))
    check_folder(points[0].config.runs_dir)
    jobs = plan([replace(point, config=resolved(point.config)) for point in points])
    for start in {job.config.start for job in jobs if job.config.start}:
        check_start(start)
    undone = [job for job in jobs if not job.is_done(settings.evaluate)]
    due = [job for job in undone if retry_failed or job.state is not State.FAILED]
    check_settings(due, evaluate=settings.evaluate)
    return SweepPlan(overrides, settings, jobs, due, _store(jobs[0].config))


def _planned_search(overrides: Sequence[str], arguments: SweepArguments, config_dir: Path | None) -> SweepPlan:
    from infomcr_cli.engine.search.plan import plan_search

    search = plan_search(arguments.overrides, arguments.sweep, config_dir)
    check_folder(search.base.runs_dir)
    if search.base.start:
        check_start(search.base.start)
    check_settings(search.probes, evaluate=arguments.sweep.evaluate)
    return SweepPlan(overrides, arguments.sweep, (), (), _store(search.base), search)


def _store(config: RunConfig) -> Store | None:
    """Return the MLflow store of the runs, after checking that the engine supports it."""
    tracking = config.tracking
    store = None if tracking.name == "off" else store_of(tracking.uri, tracking.experiment, config.runs_dir)
    check_engine(config, store)
    return store


def is_unnamed(override: str) -> bool:
    """Return whether an override only affects how the sweep runs, not which sweep it is.

    More trials continue the same search; other objectives make another one.
    """
    group, _, setting = override.lstrip("+~").partition("=")[0].partition(".")
    return group in _UNNAMED or (group == "sweep" and setting not in _NAMED)
