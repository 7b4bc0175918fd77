"""Tables for a terminal of 40 to 200 columns: one that is too wide is broken up, its first column repeated."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.rows import Grid, others_grid, psi_grid, runs_grid, verdict_grid
from infomcr_cli.report.verdict import Verdict
from infomcr_cli.runs.documents import printable

NARROWEST = 40
_GUTTER = 2  # a blank of padding and one that parts the columns
_NARROW_KEY = 16


def comparison_renderables(comparison: Comparison, width: int) -> list[RenderableType]:
    """Return the tables of a comparison and the notes to it, for a console of `width` columns."""
    shown: list[RenderableType] = []
    if comparison.judged:
        shown += grid_tables(runs_grid(comparison), width)
    if comparison.has_others:
        shown += grid_tables(others_grid(comparison), width)
    has_statistics = any(one.kendall_tau.value is not None for one in comparison.verdict.measures)
    shown += verdict_tables(comparison.verdict, width) if has_statistics else []
    written = [f"Written: {', '.join(printable(name) for name in comparison.files)}"] if comparison.files else []
    return [*shown, *(Text(line) for line in (*comparison.notes, *written))]


def verdict_renderables(verdict: Verdict, width: int) -> list[RenderableType]:
    """Return the tables of a verdict and the notes to it, for a console of `width` columns."""
    return [*verdict_tables(verdict, width), *(Text(note) for note in verdict.notes)]


def verdict_tables(verdict: Verdict, width: int) -> list[RenderableType]:
    """Return the statistics, and ψ by axis where there is more than one axis."""
    tables = grid_tables(verdict_grid(verdict), width)
    return tables + (grid_tables(psi_grid(verdict), width) if len(verdict.axes) > 1 else [])


def grid_tables(grid: Grid, width: int) -> list[RenderableType]:
    """Return a grid as one or more tables no wider than `width`, and its caption."""
    parts: list[RenderableType] = [_table(grid, columns, width) for columns in _breaks(grid, max(width, NARROWEST))]
    return [
        Text(grid.title, style="bold"),
        *parts,
        *([Text(grid.caption, style="dim")] if grid.caption else []),
        Text(),
    ]


def _breaks(grid: Grid, width: int) -> Iterator[list[int]]:
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


def _columns(grid: Grid) -> Iterator[tuple[str, ...]]:
    return zip(grid.head, *grid.rows, strict=True)


def _table(grid: Grid, columns: list[int], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index in columns:
        is_key = index == 0
        table.add_column(
            Text(grid.head[index]), overflow="fold", no_wrap=False, max_width=_key_width(width) if is_key else None
        )
    for row in grid.rows:
        table.add_row(*(Text(row[index]) for index in columns))
    return table
