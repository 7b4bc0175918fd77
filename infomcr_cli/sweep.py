"""The command `sweep`: run every combination once; the same command again does what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType

from infomcr_cli.console.redaction import has_secret, redact
from infomcr_cli.console.screen import say
from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.engine import summary
from infomcr_cli.engine.directory import SweepDirectory, locked_directory
from infomcr_cli.engine.preflight import check_content, check_names
from infomcr_cli.engine.run_sweep import run_sweep
from infomcr_cli.engine.summary import JobResult, Startup, job_as_found
from infomcr_cli.engine.sweep_plan import SweepPlan, plan_sweep
from infomcr_cli.errors import InputError
from infomcr_cli.runs import State, is_run
from infomcr_cli.signals import stop_on_signal

if TYPE_CHECKING:
    from infomcr_cli.engine.search.plan import SearchPlan
    from infomcr_cli.engine.search.search import Search
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.search import SearchReport


_COUNTED = (State.FINISHED, State.SKIPPED, State.FAILED, State.KILLED, State.RUNNING, None)
_ALWAYS = _COUNTED[:4]  # shown even if there are none


@dataclass(frozen=True)
class SweepRequest:
    """What the command line asks for.

    Args:
        overrides:    Hydra overrides, several values where they are swept.
        dry_run:      only show the jobs.
        fail_fast:    stop everything at the first failure.
        retry_failed: retry what failed before.
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
        search:     what a search found; None: the sweep was no search.
        search_plan: what a dry run of a search would search.
    """

    jobs: tuple[JobResult, ...]
    folder: Path | None = None
    comparison: Comparison | None = None
    startup: Startup | None = None
    number: int | None = None
    search: SearchReport | None = None
    search_plan: SearchPlan | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 1 a job failed, 129, 130 or 143 interrupted."""
        if self.number is not None:
            return 128 + self.number
        return 1 if self.folder and summary.is_incomplete(self.jobs) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sweep --json`."""
        counts = {_word(state): summary.count(self.jobs, state) for state in _COUNTED}
        searched = self.search if self.search_plan is None else self.search_plan  # a dry run has only a plan
        return {
            "jobs": [job.to_dict() for job in self.jobs],
            **counts,
            **({} if self.search is None else {"pruned": summary.count_pruned(self.jobs)}),
            "sweep": None if self.folder is None else str(self.folder),
            "startup_seconds": None if self.startup is None else asdict(self.startup),
            "search": None if searched is None else searched.to_dict(),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield the jobs of a dry run, or the comparison, the failures and the counts."""
        if self.folder is None:
            if self.search_plan is not None:
                yield self.search_plan.summary
                return
            yield summary.jobs_table(self.jobs)
            yield f"{len(self.jobs)} jobs"
            return
        if self.comparison is not None:
            yield from self.comparison.renderables(width)
        elif self.search is not None:
            from infomcr_cli.report.terminal import search_renderables

            yield from search_renderables(self.search, width)
        yield from summary.failure_lines(self.jobs)
        counts = {state: summary.count(self.jobs, state) for state in _COUNTED}
        shown = [f"{count} {_word(state, ' ')}" for state, count in counts.items() if count or state in _ALWAYS]
        shown += [f"{count} pruned"] if (count := summary.count_pruned(self.jobs)) else []
        yield f"{', '.join(shown)}  {self.folder}"


def _word(state: State | None, between: str = "_") -> str:
    return f"not{between}begun" if state is None else str(state).lower()


def sweep(request: SweepRequest, console: Console) -> SweepResult:
    """Carry out a sweep as far as it is not done, and return what became of each job.

    Raises:
        InputError: the request cannot be met; nothing has been made.
    """
    plan = plan_sweep(request.overrides, request.config_dir, retry_failed=request.retry_failed)
    evaluate = plan.settings.evaluate
    if request.dry_run:
        _warn_of_refusal(plan, console)
        return SweepResult(tuple(job_as_found(job, evaluate=evaluate) for job in plan.jobs), search_plan=plan.search)
    to_check = plan.due if plan.search is None else plan.search.probes
    check_names(to_check, evaluate=evaluate)
    check_content(to_check, evaluate=evaluate)
    if plan.store is not None:
        say(console, f"tracking {plan.store.line}")
    with locked_directory(plan.runs_dir, plan.name) as folder:
        search = _search(plan, folder, request)
        advice = same_again(request)
        outcome = run_sweep(plan, folder, console, fail_fast=request.fail_fast, retry_advice=advice, search=search)
        comparison = found = None
        # The jobs are done and recorded: from here on a signal ends only the report of a search and the comparison.
        with stop_on_signal(outcome.number) as stopped:
            found = None if search is None else _found(search, plan, folder, console)
            if outcome.number is None:
                comparison = _compare(plan, outcome.jobs, folder, console, found)
    if outcome.number is not None and plan.config.engine.name == "slurm":
        end = suggested_command("sweep", "--cancel", shortest_path(folder.path))
        say(console, f"Its jobs continue in Slurm. To cancel them: {end}")
    return SweepResult(outcome.jobs, folder.path, comparison, outcome.startup, stopped.number, found)


def _search(plan: SweepPlan, folder: SweepDirectory, request: SweepRequest) -> Search | None:
    """Return the search of a sweep, with what its journal and its runs show; None: every combination is done."""
    if plan.search is None:
        return None
    from infomcr_cli.engine.search.search import Search

    return Search(plan.search, folder.path, retry_failed=request.retry_failed)


def _found(search: Search, plan: SweepPlan, folder: SweepDirectory, console: Console) -> SearchReport:
    """Return what a search has found, and record it beside the sweep and in MLflow."""
    from infomcr_cli.engine.search.result import search_report
    from infomcr_cli.report.search import write_search

    found = search_report(search)
    write_search(found, folder.path)
    if plan.store is not None:
        from infomcr_cli.tracking.parents import log_to_parent

        try:
            log_to_parent(plan.store, folder.uid, found.numbers(), [folder.path / "search.json"])
        except Exception as error:  # whatever MLflow raises: the search itself is complete
            say(console, f"Could not record the search in {plan.store.shown}: {redact(str(error))[:300]}")
    return found


def _warn_of_refusal(plan: SweepPlan, console: Console) -> None:
    """Say what the sweep will refuse; a dry run lists the jobs even then."""
    try:
        check_names(plan.jobs if plan.search is None else plan.search.probes, evaluate=plan.settings.evaluate)
    except InputError as error:
        say(console, f"This sweep would be refused: {error}")


def same_again(request: SweepRequest) -> str:
    """Say how to continue a sweep; a command that contains a secret is not printed."""
    options = {"--fail-fast": request.fail_fast, "--retry-failed": request.retry_failed}
    words = (*(option for option, given in options.items() if given), *request.overrides)
    command = suggested_command("sweep", *words, config_dir=request.config_dir)
    return "Run the same command again to continue." if has_secret(command) else f"Continue with: {command}"


def _compare(
    plan: SweepPlan,
    results: Sequence[JobResult],
    folder: SweepDirectory,
    console: Console,
    search: SearchReport | None,
) -> Comparison | None:
    """Compare the runs that are done; a comparison that fails is reported, and the sweep counts as done."""
    # The run of a finished trial may have been deleted: the journal has its values.
    done = [one.job for one in results if one.state in (State.FINISHED, State.SKIPPED) and is_run(one.job.run)]
    if not (plan.settings.compare and plan.settings.evaluate) or len(done) < 2:
        return None
    from infomcr_cli.report.comparison import compare_runs
    from infomcr_cli.report.gather import gather
    from infomcr_cli.report.save import save
    from infomcr_cli.report.search import NamedSweeps

    try:
        gathered = gather([str(job.run) for job in done])
        return save(
            compare_runs(gathered, NamedSweeps(search=search), gap="error", checkpoint="last"),
            csv=folder.path / "comparison.csv",
            html=folder.path / "comparison.html",
            plots=folder.path / "plots",
            tracking=plan.store is not None,
            tracking_uri=done[0].config.tracking.uri,
            mlflow_parent=folder.uid,
        )
    except InputError as error:
        say(console, f"could not compare the runs: {error}")
        return None
