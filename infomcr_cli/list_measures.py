"""The command `measures`: every measure that `eval` knows, with what it is, what it costs and what it depends on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text

from infomcr_cli.measures.base import Measure, all_measures

INDENT = " " * 4
_HOW = (
    "Choose with measure=fast, standard, free, volume or all, or measure.names=[gamma,sharpness]. "
    "`infomcr measures --json` gives one document."
)


@dataclass(frozen=True)
class MeasureList:
    """The registry, in its order."""

    exit_code: ClassVar[int] = 0

    measures: Sequence[Measure]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `measures --json`."""
        return {"measures": [_entry(measure) for measure in self.measures]}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield a card of each measure, no wider than the terminal, and how to choose."""
        for one in self.measures:
            title = (one.name, "bold"), f"  {one.unit}, {one.direction} is better  [{one.suite}]"
            yield Text.assemble(*title, no_wrap=True)
            for name, value in _card(_entry(one)).items():
                yield _indented(f"{name}: {value}", width)
        yield textwrap.fill(_HOW, width, break_on_hyphens=False)


def list_measures() -> MeasureList:
    """Return all measures that `eval` knows."""
    return MeasureList(all_measures())


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
