"""The commands `compare`, `report` and `judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infomcr_cli.command_line.complete import complete_run
from infomcr_cli.command_line.shared import AsJson, ByFamily, MaxTrainLoss, RunsDir, TrackingUri, finish, names_in


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, quoted globs, mlflow:EXPERIMENT.",
            autocompletion=complete_run,
        ),
    ],
    gap: Annotated[str, typer.Option(help="What to rank against: error, loss or test_error.")] = "error",
    checkpoint: Annotated[str, typer.Option(help="Which evaluated checkpoint to compare.")] = "last",
    sort: Annotated[str | None, typer.Option(help="A measure, a column or a statistic to order by.")] = None,
    csv: Annotated[Path | None, typer.Option(readable=False, help="Write the table to this file.")] = None,
    html: Annotated[
        Path | None, typer.Option(readable=False, help="Write one self-contained page to this file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(readable=False, help="Write the pictures to this folder, SVG and PNG.")
    ] = None,
    allow_mixed: Annotated[bool, typer.Option(help="Rank numbers of different conventions together, marked.")] = False,
    max_train_loss: MaxTrainLoss = None,
    by_family: ByFamily = False,
    audit: Annotated[
        Path | None,
        typer.Option(
            readable=False, metavar="FILE", help="What `infomcr audit` wrote; default: that of a run, if any."
        ),
    ] = None,
    tracking: Annotated[bool, typer.Option(help="Record the comparison in MLflow.")] = True,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs and rank the measures by how well they order the generalization gap."""
    from infomcr_cli.compare import CompareRequest
    from infomcr_cli.compare import compare as run_command
    from infomcr_cli.signals import stop_on_signal

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
    with stop_on_signal() as stopped:  # its run in MLflow is ended on the way out
        comparison = run_command(request, mlflow_process=True)
    if stopped.number is not None:
        raise typer.Exit(128 + stopped.number)
    finish(comparison, as_json)


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    html: Annotated[
        Path | None,
        typer.Option(readable=False, help="The file to write; default: report.html in the run's directory."),
    ] = None,
    tracking: Annotated[bool, typer.Option(help="Put it into MLflow too, where the run is.")] = True,
    tracking_uri: Annotated[str | None, typer.Option(help="An MLflow store; default: the run's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained page on a run: settings, curves, measures and how to read them, pictures."""
    from infomcr_cli.report_run import ReportRequest, report_run

    finish(report_run(ReportRequest(run, html, tracking, tracking_uri)), as_json)


def judge(
    table: Annotated[Path, typer.Argument(readable=False, metavar="FILE.csv", help="One minimum a line.")],
    gap: Annotated[str, typer.Option(help="The column of the generalization gap.")],
    axes: Annotated[str, typer.Option(help="The columns of hyperparameters, separated by commas.")],
    measures: Annotated[
        str | None, typer.Option(help="The columns to judge; default: all numbers except scores, costs and indices.")
    ] = None,
    n_test: Annotated[
        int | None, typer.Option(help="Size of the test set, for the sign error; default: the column n_test.")
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=lower|higher", help="Which values of a measure are better; may be repeated."),
    ] = None,
    max_train_loss: MaxTrainLoss = None,
    by_family: ByFamily = False,
    as_json: AsJson = False,
) -> None:
    """Rank the measures of an external CSV table."""
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
