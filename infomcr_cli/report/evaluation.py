"""One evaluation on a terminal: scores and gaps in a line or two, measures in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.runs.documents import printable


def evaluation_renderables(evaluation: Mapping[str, Any]) -> list[RenderableType]:
    """Return what a terminal shows of one entry of the document of `eval`."""
    train, test, gap = evaluation["train"], evaluation["test"], evaluation["gap"]
    title = f"{printable(Path(evaluation['run']).name)}  {evaluation['checkpoint']}"
    scores = (
        f"train loss {train['loss']:.4f} accuracy {train['accuracy']:.2%}   "
        f"test loss {test['loss']:.4f} accuracy {test['accuracy']:.2%}   "
        f"gap {gap['error']:+.2%} error, {gap['loss']:+.4f} nats"
    )
    return [Text(title, style="bold"), Text(scores), _table(evaluation["measures"]), *_notes(evaluation["measures"])]


def _table(measures: Mapping[str, Any]) -> Table:
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
