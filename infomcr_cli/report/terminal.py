"""Tables for a terminal of 40 to 200 columns: one that is too wide is broken up, its first column repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.console.text import printable
from infomcr_cli.judging.result import RankingResult
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.rows import TextTable, excluded_table, psi_table, ranking_table, runs_table

NARROWEST = 40
_GUTTER = 2  # a blank of padding and one that parts the columns
_NARROW_KEY = 16


def comparison_renderables(comparison: Comparison, width: int) -> list[RenderableType]:
    """Return the tables of a comparison and the notes to it, for a console of `width` columns."""
    shown: list[RenderableType] = []
    if comparison.judged:
        shown += text_tables(runs_table(comparison), width)
    if comparison.has_others:
        shown += text_tables(excluded_table(comparison), width)
    has_statistics = any(one.kendall_tau.value is not None for one in comparison.verdict.measures)
    shown += ranking_tables(comparison.verdict, width) if has_statistics else []
    written = [f"Written: {', '.join(printable(name) for name in comparison.files)}"] if comparison.files else []
    return [*shown, *(Text(line) for line in (*comparison.notes, *written))]


def ranking_renderables(verdict: RankingResult, width: int) -> list[RenderableType]:
    """Return the tables of a verdict and the notes to it, for a console of `width` columns."""
    return [*ranking_tables(verdict, width), *(Text(note) for note in verdict.notes)]


def ranking_tables(verdict: RankingResult, width: int) -> list[RenderableType]:
    """Return the statistics, and ψ by axis where there is more than one axis."""
    tables = text_tables(ranking_table(verdict), width)
    return tables + (text_tables(psi_table(verdict), width) if len(verdict.axes) > 1 else [])


def text_tables(grid: TextTable, width: int) -> list[RenderableType]:
    """Return a grid as one or more tables no wider than `width`, and its caption."""
    parts: list[RenderableType] = [_table(grid, columns, width) for columns in _breaks(grid, max(width, NARROWEST))]
    return [
        Text(grid.title, style="bold"),
        *parts,
        *([Text(grid.caption, style="dim")] if grid.caption else []),
        Text(),
    ]


def _breaks(grid: TextTable, width: int) -> Iterator[list[int]]:
    """Yield the columns of each table: the first one, then as many as there is room for."""
    widths = [max(cell_len(cell) for cell in column) for column in _columns(grid)]
    room = width - min(widths[0], _key_width(width)) - _GUTTER
    chosen: list[int] = []
    used = 0
    for index in range(1, len(widths)):
        needed = min(widths[index], room - _GUTTER) + _GUTTER
        if chosen and used + needed > room:
            yield [0, *chosen]
            chosen, used = [], 0
        chosen.append(index)
        used += needed
    yield [0, *chosen]


def _key_width(width: int) -> int:
    """Return the most room that the names of the rows take."""
    return max(_NARROW_KEY, width // 5)


def _columns(grid: TextTable) -> Iterator[tuple[str, ...]]:
    return zip(grid.head, *grid.rows, strict=True)


def _table(grid: TextTable, columns: list[int], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index in columns:
        is_key = index == 0
        table.add_column(
            Text(grid.head[index]), overflow="fold", no_wrap=False, max_width=_key_width(width) if is_key else None
        )
    for row in grid.rows:
        table.add_row(*(Text(row[index]) for index in columns))
    return table


def evaluation_renderables(evaluation: Mapping[str, Any]) -> list[RenderableType]:
    """Return what a terminal shows of one entry of the document of `eval`."""
    train, test, gap = evaluation["train"], evaluation["test"], evaluation["gap"]
    title = f"{printable(Path(evaluation['run']).name)}  {evaluation['checkpoint']}"
    scores = (
        f"train loss {train['loss']:.4f} accuracy {train['accuracy']:.2%}   "
        f"test loss {test['loss']:.4f} accuracy {test['accuracy']:.2%}   "
        f"gap {gap['error']:+.2%} error, {gap['loss']:+.4f} nats"
    )
    return [
        Text(title, style="bold"),
        Text(scores),
        _evaluation_table(evaluation["measures"]),
        *_notes(evaluation["measures"]),
    ]


def _evaluation_table(measures: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("± std. error", justify="right")
    table.add_column("± 95 %", justify="right")
    table.add_column("unit")
    for name, entry in measures.items():
        numbers = (entry["value"], entry.get("std_error"), _half_width(entry.get("interval")))
        table.add_row(name, *map(_number, numbers), entry.get("unit") or "")
    return table


def _half_width(interval: Sequence[float] | None) -> float | None:
    """How far a symmetric interval reaches to either side: further than two standard errors where draws are few."""
    return (interval[1] - interval[0]) / 2 if interval else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def _notes(measures: Mapping[str, Any]) -> list[Text]:
    return [*_missing(measures), *_rank_deficient(measures.get("gamma") or {})]


def _missing(measures: Mapping[str, Any]) -> list[Text]:
    """Why a measure has no value, where it says so."""
    return [
        Text(f"{name}: {printable(str(entry['reason']))}")
        for name, entry in measures.items()
        if entry["value"] is None and entry.get("reason")
    ]


def _rank_deficient(gamma: Mapping[str, Any]) -> list[Text]:
    draws, rank = gamma.get("draws") or [], gamma.get("rank") or []
    marked = sum(value is None for value in draws)
    if not draws or not marked:
        return []
    shown = f"{marked} of {len(draws)} draws are rank-deficient (lowest rank {min(rank)})"
    return [Text(f"{shown} and stand apart from the mean.")]
