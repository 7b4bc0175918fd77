"""The command `compare`: gather runs, rank their measures, save tables and plots."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.errors import InputError
from infomcr_cli.report.columns import check_max_train_loss
from infomcr_cli.report.evaluated_run import GAPS
from infomcr_cli.report.gather import gather
from infomcr_cli.report.output_files import check_outputs
from infomcr_cli.tracking.store import store_of

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.tracking.process import MlflowProcess


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


def compare(request: CompareRequest, *, mlflow: MlflowProcess | None = None) -> Comparison:
    """Gather the runs, rank their measures, write the files of the request.

    Args:
        mlflow: records the comparison in MLflow, if this process is the command's own; then it may also fork a process
            that draws half of the plots. None: this process does both.

    Raises:
        InputError: no run can be read, the gap or sort is unknown, conventions are mixed, no run has the checkpoint,
            or a file cannot be written.
    """
    if request.gap not in GAPS:
        raise InputError("--gap must be a recorded gap", received=request.gap, accepted=GAPS)
    check_max_train_loss(request.max_train_loss)
    check_outputs(csv=request.csv, html=request.html, plots=request.plots)
    if request.tracking and request.tracking_uri is not None:
        store_of(request.tracking_uri, "infomcr", request.runs_dir)  # raises if the URI cannot be used
    gathered = gather(
        request.runs, checkpoint=request.checkpoint, tracking_uri=request.tracking_uri, runs_dir=request.runs_dir
    )
    if mlflow is not None:
        mlflow.prepare(gathered.runs[0].directory, request.tracking_uri)
    from infomcr_cli.report.audit import read_audit_file

    audit = read_audit_file(request.audit) if request.audit else None
    # SciPy is imported only now: everything that can be refused without it was refused.
    from infomcr_cli.report.comparison import compare_runs
    from infomcr_cli.report.save import save
    from infomcr_cli.report.search import named_sweeps

    sweeps = named_sweeps(request.runs)
    comparison = compare_runs(
        gathered,
        sweeps,
        gap=request.gap,
        checkpoint=request.checkpoint,
        sort=request.sort,
        allow_mixed=request.allow_mixed,
        max_train_loss=request.max_train_loss,
        by_family=request.by_family,
        audit=audit,
        seed=request.seed,
    )
    # A process with busy threads must not fork. That of the command has none; with one core a fork gains nothing.
    can_fork = mlflow is not None and sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1
    return save(
        comparison,
        csv=request.csv,
        html=request.html,
        plots=request.plots,
        tracking=request.tracking,
        tracking_uri=request.tracking_uri,
        mlflow_parent=sweeps.uid,
        mlflow=mlflow,
        two_processes=can_fork,
    )
