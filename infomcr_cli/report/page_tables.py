"""The tables of the HTML page: the runs with gamma and the gaps first, every run with its links, the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infomcr_cli.console.text import printable
from infomcr_cli.report.axes import ABSENT, setting_text
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.conventions import unit_of
from infomcr_cli.report.evaluated_run import GAPS, ComparedRun, EvaluatedRun, gap_label
from infomcr_cli.report.plots.scatter import GAMMA
from infomcr_cli.report.tables import (
    NONE,
    TextTable,
    format_number,
    mark_mixed,
    replicates,
    runs_table,
    with_error,
    with_unit,
)
from infomcr_cli.runs import read_status
from infomcr_cli.tracking.ui import LOOPBACK, PORT, run_page

MOST_CHARACTERS = 10_000  # of a setting
_ERRORS = (
    "± is the standard error: for gamma over its draws, for error rates binomial. The links to MLflow work while "
    "`infomcr ui` is running."
)


@dataclass(frozen=True)
class Cell:
    """A cell of the page, with an address if it is a link."""

    text: str
    address: str | None = None


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        name:   of its anchor.
        folded: hidden until the reader opens it.
        is_list: each row is a fact of its own; there is nothing to sort or filter.
        runs:   for each row the names of the runs that it is about, which the page links with its pictures; none: it
                is about no runs.
    """

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: bool = False
    is_list: bool = False
    runs: Sequence[Sequence[str]] = ()


def page_table(name: str, table: TextTable) -> PageTable:
    """Return a table of text as one of the page."""
    rows = [[Cell(text) for text in row] for row in table.rows]
    return PageTable(name, table.title, table.head, rows, table.caption)


def differences_table(comparison: Comparison) -> PageTable:
    """Return the axes: each setting that was varied, its values, and the settings that change along with it."""
    rows = [
        [Cell(axis.name), Cell(", ".join(axis.values)), Cell(", ".join(key for key in axis.keys if key != axis.name))]
        for axis in comparison.axes
    ]
    has_more = any(len(axis.keys) > 1 for axis in comparison.axes)
    head = ("setting", "values", "changes along with it")
    width = 3 if has_more else 2
    return PageTable("differences", "What differs", head[:width], [row[:width] for row in rows])


def runs_tables(comparison: Comparison, place: Path | None) -> list[PageTable]:
    """Return the ranked runs, gamma and gaps first: means over the seeds if there are several, then every run, folded.

    Args:
        place: the folder of the page, from which links to run folders are relative; None: links are absolute.
    """
    every_run = every_run_table(comparison, place)
    if all(len(members) == 1 for members in replicates(comparison)):
        return [every_run]
    return [settings_table(comparison), replace(every_run, name="every-run", title="Every run", folded=True)]


def settings_table(comparison: Comparison) -> PageTable:
    """Return means over the seeds of each setting, gamma and gaps first."""
    table = runs_table(comparison)
    gaps = dict.fromkeys((comparison.gap, *GAPS))  # the compared one first
    wanted = ["run", GAMMA, *(GAPS[gap] for gap in gaps), *(axis.name for axis in comparison.axes), "seeds", "compute"]
    found = (_column(table.head, name) for name in wanted)
    order = [column for column in found if column is not None]
    rows = [[Cell(row[index]) for index in order] for row in table.rows]
    head = [table.head[index] for index in order]
    return PageTable("runs", "Runs", head, rows, table.caption, runs=runs_of_rows(comparison))


def runs_of_rows(comparison: Comparison) -> list[list[str]]:
    """Return the names of the runs that each row of the table of runs is about."""
    return [[run.name for run in members] for members in replicates(comparison)]


def _column(head: Sequence[str], name: str) -> int | None:
    """Return the column of a name, with a unit or a mark behind it or without; None if there is none."""
    is_it = (one == name or one.startswith((f"{name},", f"{name}*", f"{name} (")) for one in head)
    return next((index for index, found in enumerate(is_it) if found), None)


def every_run_table(comparison: Comparison, place: Path | None) -> PageTable:
    """Return a line for each ranked run, with its standard errors and links to its folder and its page in MLflow."""
    runs = comparison.included
    columns = {"run": [Cell(run.name, folder_link(run, place)) for run in runs]}
    if GAMMA in comparison.measures:
        gamma = with_unit(mark_mixed(GAMMA, GAMMA in comparison.mixed_measures), unit_of(runs, GAMMA))
        columns[gamma] = [Cell(measured(run, GAMMA)) for run in runs]
    for gap in dict.fromkeys((comparison.gap, "error", "test_error")):
        columns[gap_label(gap)] = [Cell(_gap(run, gap)) for run in runs]
    columns["train loss, nats"] = [Cell(format_number(run.evaluation.train.loss)) for run in runs]
    columns |= {axis.name: [Cell(label) for label in axis.labels] for axis in comparison.axes}
    if len({str(run.seed) for run in runs}) > 1:
        columns["seed"] = [Cell(NONE if run.seed is None else str(run.seed)) for run in runs]
    links = [mlflow_cell(run) for run in runs]
    if any(cell.address for cell in links):
        columns["MLflow"] = links
    rows = [*zip(*columns.values(), strict=True)]
    return PageTable("runs", "Runs", [*columns], rows, _ERRORS, runs=[[run.name] for run in runs])


def measured(run: EvaluatedRun, name: str) -> str:
    """Return a measure with its standard error, to the digits that the error allows."""
    found = run.evaluation.measures.get(name)
    return NONE if found is None else with_error(found.value, found.std_error)


def _gap(run: EvaluatedRun, gap: str) -> str:
    value, error = run.gap(gap), run.gap_std_error(gap)
    if gap == "loss" or value is None:
        return format_number(value)
    return with_error(100 * value, None if error is None else 100 * error)


def folder_link(run: ComparedRun, place: Path | None) -> str:
    """Return the address of a run's folder, from the folder of the page if that is known."""
    if place is None:
        return run.directory.path.resolve().as_uri()
    relative = os.path.relpath(run.directory.path.resolve(), place.resolve())
    return quote(os.fsencode(relative)) + "/"  # quoted as bytes, because a path need not be UTF-8


def mlflow_cell(run: ComparedRun) -> Cell:
    """Return a link to a run's page as `infomcr ui` shows it; no directory names another server."""
    run_id = read_status(run.directory).mlflow_run_id
    if run_id is None:
        return Cell(NONE)
    return Cell(run_id[:8], run_page(f"http://{LOOPBACK}:{PORT}", run_id))


def shared_settings(comparison: Comparison) -> PageTable:
    """Return the settings that all runs share, ranked or not."""
    config = comparison.runs[0].config if comparison.runs else {}
    differing = set(_differing(comparison.runs))
    rows = [(Cell(name), Cell(_shown(config, name))) for name in config if name not in differing]
    return PageTable("shared-settings", "Settings that all runs share", ("setting", "value"), rows, folded=True)


def differing_settings(comparison: Comparison) -> PageTable:
    """Return the settings that differ, one line for each run; runs that are not ranked come last, in parentheses."""
    names, ranked = _differing(comparison.runs), {run.name for run in comparison.included}
    rows = []
    for run in comparison.runs:
        shown = run.name if run.name in ranked else f"({run.name})"
        rows.append([Cell(text) for text in (shown, *(_shown(run.config, name) for name in names))])
    caption = "(run): not ranked." if len(ranked) < len(rows) else ""
    head = ("run", *names)
    about = [[run.name] for run in comparison.runs]
    title = "All settings that differ"
    return PageTable("all-differences", title, head, rows if names else (), caption, folded=True, runs=about)


def _differing(runs: Sequence[ComparedRun]) -> list[str]:
    """Return the settings that some runs lack or that have different values, compared whole."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    return [name for name in names if len({setting_text(run.config, name) for run in runs}) > 1]


def _shown(config: Mapping[str, Any], name: str) -> str:
    whole = setting_text(config, name)
    return ABSENT if whole is None else printable(whole, MOST_CHARACTERS)
