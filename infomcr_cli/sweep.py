"""The command `sweep`: run every combination once; the same command again does what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from infomcr_cli.console.redaction import has_secret
from infomcr_cli.console.screen import say
from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.engine.compare_sweep import compare_sweep, record_search
from infomcr_cli.engine.directory import SweepDirectory, locked_directory
from infomcr_cli.engine.preflight import check_content, check_names
from infomcr_cli.engine.run_sweep import run_sweep
from infomcr_cli.engine.summary import job_as_found
from infomcr_cli.engine.sweep_plan import SweepPlan, plan_sweep
from infomcr_cli.engine.sweep_result import SweepResult
from infomcr_cli.errors import InputError
from infomcr_cli.signals import stop_on_signal

if TYPE_CHECKING:
    from infomcr_cli.engine.search.search import Search


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
            found = None if search is None else record_search(search, plan, folder, console)
            if outcome.number is None:
                comparison = compare_sweep(plan, outcome.jobs, folder, console, found)
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
