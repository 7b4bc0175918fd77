"""The command `sweep`: run every combination once; the same command again does what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType

from infomcr_cli.config.exclude import parse_exclusions
from infomcr_cli.config.grid import expand
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.console.redaction import has_secret, redact, redact_override
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.engine import summary
from infomcr_cli.engine.directory import SweepDirectory, locked_directory, name_of
from infomcr_cli.engine.factory import check_engine, make_engine
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.mlflow import close_logger, closed_on_error
from infomcr_cli.engine.plan import plan
from infomcr_cli.engine.preflight import check_content, check_names, check_settings
from infomcr_cli.engine.scheduler import SweepRunner
from infomcr_cli.engine.summary import JobResult, Startup
from infomcr_cli.engine.view import SweepView
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs import State
from infomcr_cli.runs.directory import check_folder
from infomcr_cli.signals import Interruption, stop_on_signal
from infomcr_cli.tracking.known_stores import add_known_store
from infomcr_cli.tracking.store import Store, store_of
from infomcr_cli.train import check_start

if TYPE_CHECKING:
    from infomcr_cli.engine.mlflow import SweepLogger
    from infomcr_cli.report.comparison import Comparison

_UNNAMED = ("engine", "tracking", "runs_dir", "device")


@dataclass(frozen=True)
class SweepRequest:
    """What the command line asks for.

    Args:
        overrides:    Hydra overrides, several values where they are swept.
        dry_run:      only show the jobs.
        fail_fast:    stop everything at the first failure.
        retry_failed: take up again what failed before.
        config_dir:   a folder of configuration that comes first.
    """

    overrides: Sequence[str] = ()
    dry_run: bool = False
    fail_fast: bool = False
    retry_failed: bool = False
    config_dir: Path | None = None


@dataclass(frozen=True)
class SweepResult:
    """What became of a sweep.

    Args:
        folder:     the sweep's own; None for a dry run.
        startup:    what the start of a job's process cost; None: none was started.
        number:     the signal that ended it; None: none did.
    """

    jobs: tuple[JobResult, ...]
    folder: Path | None = None
    comparison: Comparison | None = None
    startup: Startup | None = None
    number: int | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 1 a job failed, 129, 130 or 143 interrupted."""
        if self.number is not None:
            return 128 + self.number
        return 1 if self.folder and _is_incomplete(self.jobs) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sweep --json`."""
        counts = {_word(state): summary.count(self.jobs, state) for state in _COUNTED}
        return {
            "jobs": [job.to_dict() for job in self.jobs],
            **counts,
            "sweep": None if self.folder is None else str(self.folder),
            "startup_seconds": None if self.startup is None else asdict(self.startup),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Return the jobs of a dry run, or the comparison, the failures and the counts."""
        if self.folder is None:
            yield summary.jobs_table(self.jobs)
            yield f"{len(self.jobs)} jobs"
            return
        if self.comparison is not None:
            yield from self.comparison.renderables(width)
        yield from summary.failure_lines(self.jobs)
        counts = {state: summary.count(self.jobs, state) for state in _COUNTED}
        shown = [f"{count} {_word(state, ' ')}" for state, count in counts.items() if count or state is not None]
        yield f"{', '.join(shown)}  {self.folder}"


def _is_incomplete(jobs: Sequence[JobResult]) -> bool:
    return any(job.state in (State.FAILED, State.KILLED, None) for job in jobs)


_COUNTED = (State.FINISHED, State.SKIPPED, State.FAILED, State.KILLED, None)


def _word(state: State | None, between: str = "_") -> str:
    return f"not{between}begun" if state is None else str(state).lower()


def sweep(request: SweepRequest, console: Console) -> SweepResult:
    """Carry out a sweep as far as it is not done, and return what became of each job.

    Raises:
        InputError: the request cannot be met; nothing has been made.
    """
    settings, jobs, store = _planned(request)
    if request.dry_run:
        _say_what_will_be_refused(settings, jobs, console)
        return SweepResult(tuple(_before(job, settings.evaluate) for job in jobs))
    due = _due(request, jobs, settings.evaluate)
    check_names(due, evaluate=settings.evaluate)
    check_content(due, evaluate=settings.evaluate)
    if store is not None:
        console.print(f"tracking {store.line}", markup=False, highlight=False, soft_wrap=True)
    with locked_directory(jobs[0].config.runs_dir, settings.name or name_of(_naming(request.overrides))) as folder:
        outcomes, number = _carried_out(request, settings, jobs, store, folder, console)
        results = tuple(_result(job, outcomes, settings.evaluate, folder) for job in jobs)
        comparison = None
        with stop_on_signal(number) as stopped:
            comparison = _compared(settings, results, store, folder, console) if number is None else None
    return SweepResult(results, folder.path, comparison, summary.startup_of(outcomes.values()), stopped.number)


def same_again(request: SweepRequest) -> str:
    """Say how to go on with a sweep; a command that contains a secret is not printed."""
    options = {"--fail-fast": request.fail_fast, "--retry-failed": request.retry_failed}
    words = (*(option for option, given in options.items() if given), *request.overrides)
    command = suggested_command("sweep", *words, config_dir=request.config_dir)
    return "The same command again goes on." if has_secret(command) else f"Go on with: {command}"


def _planned(request: SweepRequest) -> tuple[SweepConfig, list[Job], Store | None]:
    arguments = split_arguments(request.overrides, request.config_dir)
    settings = arguments.sweep
    exclusions = parse_exclusions(settings.exclude, request.config_dir)
    points = expand(arguments.overrides, request.config_dir, exclusions)
    check_folder(points[0].config.runs_dir)
    jobs = plan([replace(point, config=resolved(point.config)) for point in points])
    for start in {job.config.start for job in jobs if job.config.start}:
        check_start(start)
    check_settings(_due(request, jobs, settings.evaluate), evaluate=settings.evaluate)
    store = _store(jobs[0].config)
    check_engine(jobs[0].config, store)
    return settings, jobs, store


def _say_what_will_be_refused(settings: SweepConfig, jobs: Sequence[Job], console: Console) -> None:
    """A dry run lists the jobs, also where the data will not do."""
    try:
        check_names(jobs, evaluate=settings.evaluate)
    except InputError as error:
        console.print(f"This sweep will be refused: {error}", markup=False, highlight=False, soft_wrap=True)


def _store(config: RunConfig) -> Store | None:
    tracking = config.tracking
    return None if tracking.name == "off" else store_of(tracking.uri, tracking.experiment, config.runs_dir)


def _naming(overrides: Sequence[str]) -> list[str]:
    """Where, by what and with what at its end a sweep is carried out does not make it another one."""
    return [text for text in overrides if not _says_how(text)]


def _says_how(override: str) -> bool:
    group, _, setting = override.lstrip("+~").partition("=")[0].partition(".")
    return group in _UNNAMED or (group == "sweep" and setting != "exclude")


def _before(job: Job, evaluate: bool) -> JobResult:
    return JobResult(job, State.SKIPPED if job.is_done(evaluate) else job.state, job.reason)


def _due(request: SweepRequest, jobs: Sequence[Job], evaluate: bool) -> list[Job]:
    return [
        job for job in jobs if not job.is_done(evaluate) and (request.retry_failed or job.state is not State.FAILED)
    ]


def _carried_out(
    request: SweepRequest,
    settings: SweepConfig,
    jobs: Sequence[Job],
    store: Store | None,
    folder: SweepDirectory,
    console: Console,
) -> tuple[dict[str, Outcome], int | None]:
    due = _due(request, jobs, settings.evaluate)
    config = jobs[0].config
    view = SweepView(console, due, len(jobs) - len(due))
    engine = make_engine(config, due, folder, evaluate=settings.evaluate)
    logger = _logger(request, store, folder, jobs, due)
    runner = SweepRunner(engine, [view, *([logger] if logger else [])], config.engine.retries, request.fail_fast)
    with Interruption() as interruption:
        with view, closed_on_error(logger):
            outcomes = runner.run(due)
        results = [_result(job, outcomes, settings.evaluate, folder) for job in jobs]
        number = close_logger(logger, _is_incomplete(results), runner.number, interruption)
        documents = [result.to_dict() for result in results]
        _noted(folder, store, logger).write([redact_override(text) for text in request.overrides], documents)
    return outcomes, number


def _noted(folder: SweepDirectory, store: Store | None, logger: SweepLogger | None) -> SweepDirectory:
    """Return the directory with what MLflow holds by now."""
    if store is None or logger is None:
        return folder
    return replace(folder, store=store.shown, mirrored=frozenset(logger.mirrored))


def _logger(
    request: SweepRequest, store: Store | None, folder: SweepDirectory, jobs: Sequence[Job], due: Sequence[Job]
) -> SweepLogger | None:
    if store is None:
        return None
    from infomcr_cli.engine.mlflow import SweepLogger

    add_known_store(jobs[0].config.tracking.uri)
    overrides = redact(" ".join(request.overrides))
    tags = {"infomcr.kind": "sweep", "infomcr.overrides": overrides[:4000], "infomcr.directory": str(folder.path)}
    waiting = {job.identity for job in due}
    logger = SweepLogger(store, folder.name, folder.uid, tags, folder.mirrored_in(store) - waiting, same_again(request))
    for job in jobs:
        if job.state is not None and job.identity not in waiting:
            logger.add_existing(job)
    return logger


def _result(job: Job, outcomes: Mapping[str, Outcome], evaluate: bool, folder: SweepDirectory) -> JobResult:
    outcome = outcomes.get(job.identity)
    if outcome is None:
        result = _before(job, evaluate)
        return replace(result, reason=f"{job.reason} (--retry-failed takes it up again)") if job.reason else result
    log = folder.tail(job) if outcome.state is State.FAILED else []
    return JobResult(job, outcome.state, outcome.reason, tuple(log))


def _compared(
    settings: SweepConfig, results: Sequence[JobResult], store: Store | None, folder: SweepDirectory, console: Console
) -> Comparison | None:
    """Compare the runs that are done; a comparison that fails is reported, and the sweep counts as done."""
    done = [result.job for result in results if result.state in (State.FINISHED, State.SKIPPED)]
    if not (settings.compare and settings.evaluate) or len(done) < 2:
        return None
    from infomcr_cli.compare import CompareRequest, compare

    options = CompareRequest(
        tuple(str(job.run) for job in done),
        csv=folder.path / "comparison.csv",
        html=folder.path / "comparison.html",
        plots=folder.path / "plots",
        tracking=store is not None,
        tracking_uri=done[0].config.tracking.uri,
        runs_dir=done[0].config.runs_dir,
        mlflow_parent=folder.uid,
    )
    try:
        return compare(options)
    except InputError as error:
        console.print(f"no comparison: {error}", markup=False, highlight=False, soft_wrap=True)
        return None
