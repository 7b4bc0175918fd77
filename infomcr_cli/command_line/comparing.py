"""The commands `compare`, `report` and `judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infomcr_cli.command_line.complete import complete_run
from infomcr_cli.command_line.shared import AsJson, ByFamily, MaxTrainLoss, RunsDir, finish, names_in


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, folders of runs or sweeps, quoted globs, or mlflow:EXPERIMENT.",
            autocompletion=complete_run,
        ),
    ],
    gap: Annotated[str, typer.Option(help="The gap to rank by: error, loss or test_error.")] = "error",
    checkpoint: Annotated[str, typer.Option(help="The evaluated checkpoint to compare.")] = "last",
    sort: Annotated[str | None, typer.Option(help="Sort by this measure, column or statistic.")] = None,
    csv: Annotated[Path | None, typer.Option(readable=False, help="Write the table to this file.")] = None,
    html: Annotated[
        Path | None, typer.Option(readable=False, help="Write one self-contained page to this file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(readable=False, help="Write the plots to this folder, as SVG and PNG.")
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option(help="Rank values of different conventions together, and mark them.")
    ] = False,
    max_train_loss: MaxTrainLoss = None,
    by_family: ByFamily = False,
    audit: Annotated[
        Path | None,
        typer.Option(
            readable=False, metavar="FILE", help="The audit.json that `infomcr audit` wrote; default: that of a run."
        ),
    ] = None,
    tracking: Annotated[bool, typer.Option(help="Record the comparison in MLflow.")] = True,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="The MLflow store for the record of the comparison (default: the first run's own) and for "
            "mlflow:EXPERIMENT (default: MLFLOW_TRACKING_URI, else mlflow/ beside the runs)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs and rank the measures by how well they order the generalization gap."""
    from infomcr_cli.imports import collector_paused
    from infomcr_cli.signals import stop_on_signal
    from infomcr_cli.tracking.process import MlflowProcess

    # MLflow's import takes longer than anything else here, so its process starts before all other imports. A signal
    # stops the block, so that the comparison does not stay unfinished in MLflow.
    with collector_paused(), stop_on_signal() as stopped, MlflowProcess(is_separate=tracking) as mlflow:
        from infomcr_cli.compare import CompareRequest
        from infomcr_cli.compare import compare as run_command

        request = CompareRequest(
            tuple(runs),
            gap=gap,
            checkpoint=checkpoint,
            sort=sort,
            csv=csv,
            html=html,
            plots=plots,
            allow_mixed=allow_mixed,
            max_train_loss=max_train_loss,
            by_family=by_family,
            audit=audit,
            tracking=tracking,
            tracking_uri=tracking_uri,
            runs_dir=str(runs_dir),
        )
        comparison = run_command(request, mlflow=mlflow)
    if stopped.number is not None:
        raise typer.Exit(128 + stopped.number)
    finish(comparison, as_json)


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    html: Annotated[
        Path | None,
        typer.Option(readable=False, help="The file to write; default: report.html in the run directory."),
    ] = None,
    tracking: Annotated[bool, typer.Option(help="Upload the page to the run in MLflow.")] = True,
    tracking_uri: Annotated[str | None, typer.Option(help="An MLflow store; default: the run's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a self-contained HTML page about a run: settings, curves, measures with explanations, plots."""
    from infomcr_cli.report_run import ReportRequest, report_run

    finish(report_run(ReportRequest(run, html, tracking, tracking_uri)), as_json)


def judge(
    table: Annotated[
        Path, typer.Argument(readable=False, metavar="FILE.csv", help="A table with one row per minimum.")
    ],
    gap: Annotated[str, typer.Option(help="The column with the generalization gap.")],
    axes: Annotated[str, typer.Option(help="The columns with hyperparameters, separated by commas.")],
    measures: Annotated[
        str | None,
        typer.Option(help="The columns to rank; default: all numeric ones except scores, costs and indices."),
    ] = None,
    n_test: Annotated[
        int | None, typer.Option(help="Size of the test set, for the sign error; default: the column n_test.")
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=lower|higher", help="Whether lower or higher values of a measure are better; repeatable."
        ),
    ] = None,
    max_train_loss: MaxTrainLoss = None,
    by_family: ByFamily = False,
    as_json: AsJson = False,
) -> None:
    """Rank measures by how well they order the generalization gap in a CSV table."""
    from infomcr_cli.judge_file import JudgeResult
    from infomcr_cli.report.judge_table import judge_file

    ranking = judge_file(
        table,
        gap=gap,
        axes=names_in(axes),
        measures=names_in(measures) or None,
        n_test=n_test,
        directions=direction or (),
        max_train_loss=max_train_loss,
        by_family=by_family,
    )
    finish(JudgeResult(ranking), as_json)
