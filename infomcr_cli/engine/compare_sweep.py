"""After the jobs of a sweep: record what a search found, and compare the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.screen import say
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.summary import JobResult
from infomcr_cli.engine.sweep_plan import SweepPlan
from infomcr_cli.errors import InputError
from infomcr_cli.runs import State, is_run

if TYPE_CHECKING:
    from infomcr_cli.engine.search.search import Search
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.search import SearchReport


def record_search(search: Search, plan: SweepPlan, folder: SweepDirectory, console: Console) -> SearchReport:
    """Record what a search has found beside the sweep and in MLflow, and return it."""
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


def compare_sweep(
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
