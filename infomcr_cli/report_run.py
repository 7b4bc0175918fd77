"""The command `report`: one HTML page on a single run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.runs import RunDirectory
from infomcr_cli.tracking.store import store_of

if TYPE_CHECKING:
    from infomcr_cli.report.run_report import RunReport

FILE = "report.html"


@dataclass(frozen=True)
class ReportRequest:
    """What the command line asks for.

    Args:
        run:          a run directory.
        html:         the file to write; None: report.html in the run's directory.
        tracking:     put the page into MLflow, if the run is mirrored there.
        tracking_uri: another store than the run's own.
    """

    run: Path | str
    html: Path | None = None
    tracking: bool = True
    tracking_uri: str | None = None


def report_run(request: ReportRequest) -> RunReport:
    """Write the report on a run, and put it into MLflow as report.html if the run is mirrored there.

    Raises:
        InputError: there is no such run, or the file cannot be written.
    """
    from infomcr_cli.report.output_files import check_file, write_whole

    run = RunDirectory.open(request.run)
    path = run.path / FILE if request.html is None else request.html
    check_file(path, "--html")
    if request.tracking and request.tracking_uri is not None:
        store_of(request.tracking_uri, None, run.path.parent)  # raises if the URI cannot be used
    from infomcr_cli.report.run_page import run_page, run_plots
    from infomcr_cli.report.run_report import read_report
    from infomcr_cli.tracking.log_report import log_report

    report = read_report(run)
    plots = run_plots(report)
    write_whole(path, run_page(report, plots, path.parent), "--html")
    report = replace(report, files=(str(path),))
    if not request.tracking:
        return report
    page = run_page(report, plots, None)  # once more: MLflow keeps it elsewhere, so its links must be absolute
    return replace(report, mlflow_run_id=log_report(run, page.decode(), FILE, request.tracking_uri))
