"""The command `compare`: gather runs, rank their measures, save tables and plots."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.report.columns import check_max_train_loss
from infomcr_cli.report.gather import Gathered, check_gap, chosen_by_test, gather, search_of, uid_of_sweep
from infomcr_cli.report.output_files import check_outputs
from infomcr_cli.tracking.store import store_of

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.search import SearchReport


@dataclass(frozen=True)
class CompareRequest:
    """What to compare, and what to write.

    Attributes:
        runs:         paths, quoted globs, a sweep's directory, or mlflow:EXPERIMENT.
        gap:          "error", "loss" or "test_error".
        checkpoint:   "last", "best" or the name of one that was evaluated.
        sort:         a statistic to rank the measures by, or a column to sort the table of runs by.
        csv, html:    files to write; None: none.
        plots:        directory for the plots, SVG and PNG; None: none.
        allow_mixed:  rank numbers of different conventions together, marked.
        tracking:     record the comparison, its tables and plots in MLflow.
        tracking_uri: the store of that record and of mlflow:EXPERIMENT; None: the first run's own, beside runs_dir.
        max_train_loss: leave out runs with a higher training loss; None: none.
        by_family:    name the best measure of each family.
        audit:        a file that `infomcr audit` wrote; None: those of the runs that have one.
        seed:         of simulated differences, sampled pairs and control measures.
        search:       what a search found that made the runs; None: read beside a sweep that is named.
        mlflow_parent: uid of the sweep whose runs are compared, in MLflow the parent; None: there is none.
    """

    runs: tuple[str, ...]
    gap: str = "error"
    checkpoint: str = "last"
    sort: str | None = None
    csv: Path | None = None
    html: Path | None = None
    plots: Path | None = None
    allow_mixed: bool = False
    tracking: bool = False
    tracking_uri: str | None = None
    runs_dir: str = "runs"
    max_train_loss: float | None = None
    by_family: bool = False
    audit: Path | None = None
    seed: int = 0
    mlflow_parent: str | None = None
    search: SearchReport | None = None


def compare(request: CompareRequest, *, mlflow_process: bool = False) -> Comparison:
    """Gather the runs, rank their measures, write the files of the request.

    Args:
        mlflow_process: this process is the command's own: let others record in MLflow and draw half of the plots.

    Raises:
        InputError: no run can be read, the gap or sort is unknown, conventions are mixed, no run has the checkpoint,
            or a file cannot be written.
    """
    _check(request)
    gathered = gather(
        request.runs, checkpoint=request.checkpoint, tracking_uri=request.tracking_uri, runs_dir=request.runs_dir
    )
    # SciPy and MLflow are imported only now: everything that can be refused without them was refused
    from infomcr_cli.tracking.process import MlflowProcess

    with MlflowProcess(is_separate=request.tracking and mlflow_process) as mlflow:
        mlflow.prepare(gathered.runs[0].directory, request.tracking_uri)
        from infomcr_cli.report.comparison import compare_runs
        from infomcr_cli.report.save import save

        comparison = compare_runs(
            gathered,
            gap=request.gap,
            checkpoint=request.checkpoint,
            sort=request.sort,
            allow_mixed=request.allow_mixed,
            max_train_loss=request.max_train_loss,
            by_family=request.by_family,
            seed=request.seed,
        )
        return save(
            _with_search_and_audits(comparison, request, gathered),
            csv=request.csv,
            html=request.html,
            plots=request.plots,
            tracking=request.tracking,
            tracking_uri=request.tracking_uri,
            mlflow_parent=request.mlflow_parent or uid_of_sweep(request.runs),
            mlflow=mlflow,
            two_processes=mlflow_process and _can_fork(),
        )


def _can_fork() -> bool:
    """Whether the process of the command may fork, and gains by it: it has no threads that work."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def _check(request: CompareRequest) -> None:
    """Raise InputError if a part of the request cannot be used, whatever the runs are."""
    check_gap(request.gap)
    check_max_train_loss(request.max_train_loss)
    check_outputs(csv=request.csv, html=request.html, plots=request.plots)
    if request.tracking and request.tracking_uri is not None:
        store_of(request.tracking_uri, "infomcr", request.runs_dir)  # raises if the URI cannot be used


def _with_search_and_audits(comparison: Comparison, request: CompareRequest, gathered: Gathered) -> Comparison:
    """Return a comparison with what a search and audits of its runs found."""
    from infomcr_cli.report.audit import audits_of, fragility_of, read_audit_file

    audits = [read_audit_file(request.audit)] if request.audit else audits_of(gathered.runs)
    search = request.search or search_of(request.runs)
    chosen = [] if search else chosen_by_test(request.runs)
    on_test = (
        [f"The test set was used to choose the settings of {', '.join(chosen)} (sweep.allow_test=true)."]
        if chosen
        else []
    )
    notes = (*(search.notes if search else on_test), *comparison.notes)
    return replace(comparison, fragility=fragility_of(audits), search=search, notes=notes)
