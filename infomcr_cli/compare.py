"""The verbs `compare` and `judge`: from runs or a table to a verdict, and to the files that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.errors import InputError
from infomcr_cli.report.head import check_head
from infomcr_cli.runs import list_checkpoints

if TYPE_CHECKING:
    from rich.console import Console

    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.entry import Entry
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
        tracking:    record the comparison, its tables and pictures in MLflow.
        tracking_uri: the store of that record and of mlflow:EXPERIMENT; None: the first run's own, beside runs_dir.
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
    tracking: bool = False
    tracking_uri: str | None = None
    runs_dir: str = "runs"
    seed: int = 0


def compare(options: CompareOptions) -> Comparison:
    """Gather the runs, judge their measures, write the files that were asked for.

    Raises: InputError: no run, an unknown gap or sort, mixed conventions, or a file that no run holds.
    """
    from infomcr_cli.report.gather import check_gap, gather

    check_gap(options.gap)
    gathered = gather(options.runs, lambda name: _experiment(name, options))
    # pandas and SciPy come after whatever can be refused without them
    from infomcr_cli.report.comparison import compared
    from infomcr_cli.report.entry import read_entry
    from infomcr_cli.report.ordering import ordered, statistic_of, unique_names

    entries = unique_names([read_entry(run, options.checkpoint) for run in gathered.runs])
    _check_checkpoint(entries, options.checkpoint)
    comparison = compared(
        entries,
        gap=options.gap,
        checkpoint=options.checkpoint,
        rank_by=statistic_of(options.sort),
        allow_mixed=options.allow_mixed,
        seed=options.seed,
        passed_over=gathered.passed_over,
    )
    return _written(ordered(comparison, options.sort), options)


def _check_checkpoint(entries: Sequence[Entry], wanted: str) -> None:
    """Raise InputError where no run has a checkpoint of that name, evaluated or not."""
    known = {"last", "best", *(name for entry in entries for name in entry.evaluations)}
    if wanted not in known:
        known |= {info.name for entry in entries for info in list_checkpoints(entry.run)}
    if wanted not in known:
        raise InputError("a run must have that checkpoint", received=wanted, accepted=sorted(known))


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
    if not axes:
        raise InputError("--axes must name at least one column")
    named = (gap, *axes, *(measures or ()))
    if len(set(named)) < len(named):
        raise InputError("gap, axes and measures must be different columns", received=", ".join(named))
    check_head(table, named)
    from infomcr_cli.report import judge
    from infomcr_cli.report.table_file import read_table

    return judge(read_table(table), gap=gap, axes=axes, measures=measures, n_test=n_test, seed=seed, rank_by=rank_by)


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables of a comparison, as wide as the console, and the files that were written."""
    from infomcr_cli.report.terminal import comparison_renderables

    for part in comparison_renderables(comparison, console.width):
        console.print(part)


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Print the tables of a verdict, as wide as the console."""
    from infomcr_cli.report.terminal import verdict_renderables

    for part in verdict_renderables(verdict, console.width):
        console.print(part)


def _experiment(name: str, options: CompareOptions) -> list[Path]:
    from infomcr_cli.runs.redaction import redact
    from infomcr_cli.runs.store import existing_store_folder, store_of
    from infomcr_cli.runs.tracking import run_directories_of_experiment

    store = store_of(options.tracking_uri, name, options.runs_dir, folder=existing_store_folder(options.runs_dir))
    try:
        found = run_directories_of_experiment(store)
    except Exception as error:  # MLflow raises whatever its store raises
        rule = f"the MLflow experiment must be readable ({redact(str(error))[:300]})"
        raise InputError(rule, received=f"{name} in {store.shown}") from None
    if not found:
        raise InputError("the MLflow experiment must hold runs of this machine", received=f"{name} in {store.shown}")
    return found


def _written(comparison: Comparison, options: CompareOptions) -> Comparison:
    """Write the files that were asked for and record the comparison; return it with where they are."""
    from infomcr_cli.report.files import write_files

    wanted = {"csv": options.csv, "html": options.html, "plots": options.plots}
    files = write_files(comparison, **wanted)
    comparison = replace(comparison, files=tuple(str(path) for path in files))
    if not options.tracking or not comparison.judged:
        return comparison
    from infomcr_cli.report.record import record

    return replace(comparison, mlflow_run_id=record(comparison, options.tracking_uri))
