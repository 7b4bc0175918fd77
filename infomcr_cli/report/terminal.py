"""Show comparisons and evaluations in a terminal of 40 to 200 columns.

A table that is too wide is shown in blocks, each with its first column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.console.text import printable
from infomcr_cli.judging.result import RankingResult
from infomcr_cli.report.ranking_table import ranking_tables
from infomcr_cli.report.search import SearchReport
from infomcr_cli.report.tables import RUN, TextTable, in_full, with_error
from infomcr_cli.runs.measures_file import Evaluation, MeasureRecord

NARROWEST = 40
_GUTTER = 2  # one blank of padding and one between columns
_NARROW_KEY = 16
_WIDE_KEY = 32  # of a terminal of 80 columns or more
_BREAK = re.compile(r"(?<=[_ ,/])")  # after which a name may go on in the next line


def search_renderables(search: SearchReport, width: int) -> list[RenderableType]:
    """Return the best trials or the front of a search, the importance of its axes, and notes."""
    tables = [part for table in search.tables() for part in text_tables(table, width)]
    return [*tables, *(Text(note) for note in search.notes), Text()]


def written_files(files: Sequence[str]) -> list[str]:
    """Return files as they are named to the user: plots together, by their folder.

    Examples:
        >>> written_files(["t.csv", "out/psi.svg", "out/psi.png", "out/gamma.svg", "out/gamma.png"])
        ['t.csv', '2 plots in out (SVG and PNG)']
    """
    plots: dict[Path, list[str]] = {}
    for name in files:
        if Path(name).suffix == ".svg":
            plots.setdefault(Path(name).parent, []).append(name)
    others = [printable(name) for name in files if Path(name).suffix not in (".svg", ".png")]
    return others + [f"{len(one)} plots in {printable(str(folder))} (SVG and PNG)" for folder, one in plots.items()]


def ranking_renderables(ranking: RankingResult, width: int) -> list[RenderableType]:
    """Return the tables and notes of a ranking for a console of `width` columns."""
    tables = [part for table in ranking_tables(ranking) for part in text_tables(table, width)]
    return [*tables, *(Text(note) for note in ranking.notes)]


def text_tables(table: TextTable, width: int) -> list[RenderableType]:
    """Return a table as one or more blocks no wider than `width`, between its title and its caption."""
    blocks: list[RenderableType] = [_table(table, columns, width) for columns in _blocks(table, max(width, NARROWEST))]
    caption = [Text(table.caption, style="dim")] if table.caption else []
    return [Text(table.title, style="bold"), *blocks, *caption, Text()]


def _blocks(table: TextTable, width: int) -> Iterator[list[int]]:
    """Yield the columns of each block: the first column, then as many as fit."""
    widths = [_width(head, cells) for head, cells in zip(table.head, zip(*table.rows, strict=True), strict=True)]
    widths = [min(one, _limit(head, width)) for one, head in zip(widths, table.head, strict=True)]
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


def _width(head: str, cells: Sequence[str]) -> int:
    """Return the width of a column: its cells stay whole, its head may be broken between words."""
    return max(*(cell_len(part) for part in _BREAK.split(head)), *map(cell_len, cells))


def _key_width(width: int) -> int:
    """Return the largest width of the first column."""
    return max(_NARROW_KEY, min(_WIDE_KEY, width * 2 // 5))


def _limit(head: str, width: int) -> int:
    """Return the largest width of a column; a name of a run goes on in the next line, so that gamma is beside it."""
    return _key_width(width) if head == RUN else width - _key_width(width) - _GUTTER


def _table(table: TextTable, columns: list[int], width: int) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    most = [_key_width(width) if index == 0 else _limit(table.head[index], width) for index in columns]
    for index, limit in zip(columns, most, strict=True):
        cells = [row[index] for row in table.rows]
        head = broken(table.head[index], min(limit, _width(table.head[index], cells)))
        # fold: Rich would cut a long name with an ellipsis
        shown.add_column(Text(head), overflow="fold", no_wrap=False, max_width=limit, vertical="bottom")
    for row in table.rows:
        shown.add_row(*(Text(broken(row[index], limit)) for index, limit in zip(columns, most, strict=True)))
    return shown


def broken(text: str, width: int) -> str:
    r"""Return a text in lines of at most `width` cells, broken after a blank, comma, slash or underscore.

    Examples:
        >>> broken("frobenius_product_over_margin", 20)
        'frobenius_product_\nover_margin'
    """
    lines = [""]
    for part in _BREAK.split(text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def evaluation_renderables(run: str, evaluation: Evaluation) -> list[RenderableType]:
    """Return scores, gaps and measures of one evaluation.

    Args:
        run: the name of the run, printable.
        evaluation: as `eval` makes it, with all scores.
    """
    splits = (("train", evaluation.train), ("test", evaluation.test))
    scores = "   ".join(f"{split} loss {_loss(one.loss)} accuracy {one.accuracy:.2%}" for split, one in splits)
    return [
        Text(f"{run}  {evaluation.checkpoint}", style="bold"),
        Text(scores),
        Text(_gap_line(evaluation)),
        _evaluation_table(evaluation.measures),
        *_notes(evaluation.measures),
    ]


def _gap_line(evaluation: Evaluation) -> str:
    """Return the gaps; that of the error rate with its binomial standard error if the sizes are known."""
    sized = (evaluation.train.accuracy, evaluation.n_train), (evaluation.test.accuracy, evaluation.n_test)
    variance = sum(share * (1 - share) / size for share, size in sized if share is not None and size)
    error, points = 100 * math.sqrt(variance), 100 * (evaluation.gap.error or 0.0)
    shown = f"{'+' if points >= 0 else ''}{with_error(points, error)}" if error else f"{points:+.2f}"
    return f"gap {shown} % error, {_loss(evaluation.gap.loss, '+')} nats"


def _loss(value: float | None, sign: str = "") -> str:
    return "not finite" if value is None else f"{value:{sign}.4f}"


def _evaluation_table(measures: Mapping[str, MeasureRecord]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    table.add_column("value ± standard error", justify="right")
    table.add_column("± 95 %", justify="right")
    table.add_column("unit")
    for name, one in measures.items():
        interval = one.interval  # symmetric; with few draws wider than two standard errors to each side
        half_width = (interval[1] - interval[0]) / 2 if interval else None
        shown = in_full(one.value, one.std_error), with_error(half_width, half_width)
        table.add_row(name, shown[0], shown[1].partition(" ")[0], one.unit or "")
    return table


def _notes(measures: Mapping[str, MeasureRecord]) -> list[Text]:
    """Return why measures have no value, and how many draws of gamma are rank-deficient."""
    notes = [Text(f"{name}: {one.reason}") for name, one in measures.items() if one.reason]
    gamma = measures.get("gamma", MeasureRecord())
    draws, ranks = gamma.numbers("draws"), [rank for rank in gamma.numbers("rank") if rank is not None]
    if deficient := sum(value is None for value in draws):
        shown = f"{deficient} of {len(draws)} draws are rank-deficient (lowest rank {min(ranks):g})"
        notes.append(Text(f"{shown} and excluded from the mean."))
    return notes
