"""The verbs `compare` and `judge`: from runs or a table to a verdict, and to the files that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.errors import InputError
from infomcr_cli.runs import list_checkpoints

if TYPE_CHECKING:
    from rich.console import Console

    from infomcr_cli.judging.result import RankingResult
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.evaluated_run import EvaluatedRun


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

    Raises:
        InputError: no run that can be read, an unknown gap or sort, mixed conventions, a checkpoint that no run
        holds, or a file that cannot be written.
    """
    from infomcr_cli.report.gather import check_gap, gather

    check_gap(options.gap)
    _check_places(options)
    gathered = gather(options.runs, lambda name: _experiment(name, options), options.checkpoint)
    # SciPy comes after whatever can be refused without it
    from infomcr_cli.report.comparison import check_sort, compared, ordered, statistic_of, unique_names
    from infomcr_cli.report.data_sets import with_data_axis

    entries = with_data_axis(unique_names(gathered.entries))
    _check_checkpoint(entries, options.checkpoint)
    check_sort(entries, options.sort)
    comparison = compared(
        entries,
        gap=options.gap,
        checkpoint=options.checkpoint,
        rank_by=statistic_of(options.sort),
        allow_mixed=options.allow_mixed,
        seed=options.seed,
        passed_over=gathered.passed_over,
        unreadable=gathered.unreadable,
    )
    return _written(ordered(comparison, options.sort), options)


def _check_places(options: CompareOptions) -> None:
    """Raise InputError where a file or the record in MLflow has no place that it can go to."""
    from infomcr_cli.report.output_files import check_file, check_folder
    from infomcr_cli.tracking.store import store_of

    if options.csv is not None and options.csv == options.html:
        raise InputError("--csv and --html must name different files", received=str(options.csv))
    if options.csv is not None:
        check_file(options.csv, "--csv")
    if options.html is not None:
        check_file(options.html, "--html")
    if options.plots is not None:
        check_folder(options.plots, "--plots")
    if options.tracking and options.tracking_uri is not None:
        store_of(options.tracking_uri, "infomcr", options.runs_dir)


def _check_checkpoint(entries: Sequence[EvaluatedRun], wanted: str) -> None:
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
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
    directions: Sequence[str] = (),
    seed: int = 0,
    rank_by: str = "kendall_tau",
) -> RankingResult:
    """Judge the measures of a table in a CSV file; see `infomcr_cli.report.judge`.

    Args:
        directions: each NAME=lower or NAME=higher.

    Raises:
        InputError: the file cannot be read, is no table, or lacks a column.
    """
    from infomcr_cli.report.table_reader import clean_name, read_table

    gap, axes = clean_name(gap), [clean_name(name) for name in axes]
    measures = None if measures is None else [clean_name(name) for name in measures]
    better = {clean_name(name): direction for name, direction in _directions(directions).items()}
    if not axes:
        raise InputError("--axes must name at least one column")
    named = (gap, *axes, *(measures or ()))
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise InputError("gap, axes and measures must be different columns", received=", ".join(twice))
    if n_test is not None and n_test < 1:
        raise InputError("--n-test must be at least 1", received=n_test)
    columns = read_table(table, named)
    # NumPy and SciPy come after whatever can be refused without them
    from infomcr_cli.report.table import judge_columns

    return judge_columns(
        columns, gap=gap, axes=axes, measures=measures, n_test=n_test, directions=better, seed=seed, rank_by=rank_by
    )


def _directions(given: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, direction = text.rpartition("=")
        if not equals or direction.strip() not in ("lower", "higher"):
            received, accepted = (direction.strip(), ("lower", "higher")) if equals else (text, ())
            raise InputError("--direction must be NAME=lower or NAME=higher", received=received, accepted=accepted)
        if found.setdefault(name.strip(), direction.strip()) != direction.strip():
            raise InputError("a measure must have one direction", received=text)
    return found


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables of a comparison, as wide as the console, and the files that were written."""
    from infomcr_cli.report.terminal import comparison_renderables

    for part in comparison_renderables(comparison, console.width):
        console.print(part)


def show_ranking(verdict: RankingResult, console: Console) -> None:
    """Print the tables of a verdict, as wide as the console."""
    from infomcr_cli.report.terminal import ranking_renderables

    for part in ranking_renderables(verdict, console.width):
        console.print(part)


def _experiment(name: str, options: CompareOptions) -> list[Path]:
    from infomcr_cli.console.redaction import redact
    from infomcr_cli.runs.surroundings import existing_store_folder
    from infomcr_cli.tracking.client import run_directories_of_experiment
    from infomcr_cli.tracking.store import store_of

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
    from infomcr_cli.report.mlflow_record import record

    return replace(comparison, mlflow_run_id=record(comparison, options.tracking_uri))
