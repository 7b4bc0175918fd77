"""The verbs `compare` and `judge`: from runs or a table to a verdict, and to the files that show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.verdict import Verdict


@dataclass(frozen=True)
class CompareOptions:
    """What the command line asks of `compare`.

    Args:
        runs:        paths, quoted globs, a sweep's directory, or mlflow:EXPERIMENT.
        gap:         "error", "loss" or "test_error".
        checkpoint:  "last", "best" or the name of one that was evaluated.
        sort:        a statistic to rank the measures by, or a column of the table of runs to order it by.
        csv, html:   files to write; None: none.
        plots:       directory for the pictures, SVG and PNG; None: none.
        allow_mixed: rank numbers of different conventions together, marked.
        tracking_uri, runs_dir: where mlflow:EXPERIMENT is looked up.
        seed:        of the bootstrap.
    """

    runs: tuple[str, ...]
    gap: str = "error"
    checkpoint: str = "last"
    sort: str | None = None
    csv: Path | None = None
    html: Path | None = None
    plots: Path | None = None
    allow_mixed: bool = False
    tracking_uri: str | None = None
    runs_dir: str = "runs"
    seed: int = 0


def compare(options: CompareOptions) -> Comparison:
    """Gather the runs, judge their measures, write the files that were asked for.

    Raises: InputError: no run, an unknown gap or sort, mixed conventions, or a file that no run holds.
    """
    from infomcr_cli.report.comparison import compared
    from infomcr_cli.report.entry import read_entry
    from infomcr_cli.report.gather import gather
    from infomcr_cli.report.ordering import ordered, statistic_of, unique_names

    gathered = gather(options.runs, lambda name: _experiment(name, options))
    entries = unique_names([read_entry(run, options.checkpoint) for run in gathered.runs])
    comparison = compared(
        entries,
        gap=options.gap,
        checkpoint=options.checkpoint,
        rank_by=statistic_of(options.sort),
        allow_mixed=options.allow_mixed,
        seed=options.seed,
        passed_over=gathered.passed_over,
    )
    comparison = ordered(comparison, options.sort)
    _write(comparison, options)
    return comparison


def judge_file(
    table: Path,
    *,
    gap: str,
    axes: tuple[str, ...],
    measures: tuple[str, ...] | None = None,
    n_test: int | None = None,
    seed: int = 0,
    rank_by: str = "kendall_tau",
) -> Verdict:
    """Judge the measures of a table in a CSV file; see `infomcr_cli.report.judge`.

    Raises: InputError: the file cannot be read, is no table, or lacks a column.
    """
    from infomcr_cli.report import judge
    from infomcr_cli.report.table_file import read_table

    if not axes:
        raise InputError("--axes must name at least one column")
    return judge(read_table(table), gap=gap, axes=axes, measures=measures, n_test=n_test, seed=seed, rank_by=rank_by)


def _experiment(name: str, options: CompareOptions) -> list[Path]:
    from infomcr_cli.runs.store import store_of
    from infomcr_cli.runs.tracking import run_directories_of_experiment

    return run_directories_of_experiment(store_of(options.tracking_uri, name, options.runs_dir))


def _write(comparison: Comparison, options: CompareOptions) -> None:
    if options.csv:
        from infomcr_cli.report.table_file import write_table

        write_table(comparison, options.csv)
    if options.plots or options.html:
        from infomcr_cli.report.pictures import all_pictures, save_pictures

        pictures = all_pictures(comparison)
        if options.plots:
            save_pictures(pictures, options.plots)
        if options.html:
            from infomcr_cli.report.page import write_page

            write_page(comparison, pictures, options.html)
