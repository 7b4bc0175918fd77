"""The command `measures`: a line for every measure that `eval` knows, or a card with all about some of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich import box
from rich.console import JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.measures.base import (
    FOLDABLE,
    GRAM,
    HISTORY,
    IMAGES,
    INITIAL,
    SUITES,
    Measure,
    chosen_measures,
)
from infomcr_cli.measures.work import work_in

INDENT = " " * 4
_HOW = (
    "Choose with measure=fast, standard, free, volume or all, or measure.names=[gamma,sharpness]. "
    f"`{suggested_command('measures', 'gamma')}` prints all details of a measure, "
    "`infomcr measures --json` one document."
)
_COST = (
    "cost: in forward passes over measure.samples images, with the default settings. Measures that need draws share "
    "those of gamma."
)
_WIDEST_UNIT = 12
_SHORT = {GRAM: "draws", IMAGES: "images", INITIAL: "seed", HISTORY: "history", FOLDABLE: "plain layers"}


@dataclass(frozen=True)
class MeasureList:
    """Measures in the order of the registry.

    Args:
        cards: whether a terminal shows all about each; else a line.
    """

    exit_code: ClassVar[int] = 0

    measures: Sequence[Measure]
    cards: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `measures --json`."""
        return {"measures": [_entry(measure) for measure in self.measures]}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield a table with a line for each measure, or cards, no wider than the terminal, and how to choose."""
        if not self.cards:
            yield _table(self.measures, width)
            yield textwrap.fill(_COST, width, break_on_hyphens=False)
        for one in self.measures if self.cards else ():
            title = (one.name, "bold"), f"  {one.unit}, {one.direction} is better  [{one.suite}]"
            yield Text.assemble(*title, no_wrap=True)
            for name, value in _card(_entry(one)).items():
                yield _indented(f"{name}: {value}", width)
        yield textwrap.fill(_HOW, width, break_on_hyphens=False)


def list_measures(names: Sequence[str] = ()) -> MeasureList:
    """Return all measures that `eval` knows, those of a suite, or those of some names.

    Raises:
        InputError: there is no such measure or suite.
    """
    if len(names) == 1:
        return MeasureList(chosen_measures(names[0]), cards=names[0] not in SUITES)
    return MeasureList(chosen_measures(tuple(names)) if names else chosen_measures(), cards=bool(names))


def _table(measures: Sequence[Measure], width: int) -> Table:
    """Return a line for each measure; in a narrow terminal only the last column, "needs", is cut."""
    config = compose_run([]).measure
    rows = [_row(one, config) for one in measures]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    heads = ("measure", "unit", "better", "cost", "suite")
    widths = [max(map(len, (head, *(row[place] for row in rows)))) for place, head in enumerate(heads)]
    widths[1] = min(widths[1], _WIDEST_UNIT)
    for head, widest in zip(heads, widths, strict=True):
        side: JustifyMethod = "right" if head == "cost" else "left"
        table.add_column(head, no_wrap=True, overflow="ellipsis", max_width=widest, justify=side)
    left = width - sum(widths) - 2 * len(widths)
    table.add_column("needs", no_wrap=True, overflow="ellipsis", max_width=max(5, left))
    for row in rows:
        table.add_row(*row)
    return table


def _row(one: Measure, config: MeasureConfig) -> tuple[str, ...]:
    needs = ", ".join(_SHORT.get(need, need) for need in one.needs)
    passes = sum(work_in(passes, config).passes for passes in (one.passes, *one.shares)) / config.samples
    return one.name, one.unit, one.direction, f"{passes:,.0f}", one.suite, needs


def _card(entry: dict[str, Any]) -> dict[str, str]:
    """Return the lines below a measure's name; what it does not need or depend on is left out."""
    lists = {name: ", ".join(entry[name]) for name in ("invariance", "needs", "settings")}
    words = {name: entry[name] for name in ("formula", "source", "family", "cost")}
    lines = words | {"batch norm": entry["batch_norm"]} | lists
    return {name: value for name, value in lines.items() if value}


def _indented(line: str, width: int) -> str:
    further = INDENT + "  "
    return textwrap.fill(
        line, width, initial_indent=INDENT, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def _entry(measure: Measure) -> dict[str, Any]:
    chosen = "gamma.batch_norm" in measure.settings
    return {
        "name": measure.name,
        "formula": measure.formula,
        "source": measure.source,
        "family": measure.family,
        "invariance": list(measure.invariance),
        "unit": measure.unit,
        "direction": measure.direction,
        "cost": measure.cost,
        "needs": list(measure.needs),
        "settings": [f"measure.{name}" for name in measure.settings],
        "batch_norm": "as measure.gamma.batch_norm says" if chosen else "inference",
        "suite": measure.suite,
        "suites": list(measure.suites),
    }
