"""The command `measures`: every measure that `eval` knows, with what it is, what it costs and what it depends on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from infomcr_cli.measures.base import Measure, all_measures

INDENT = " " * 4
_HOW = (
    "Choose with measure=fast, standard, free, volume or all, or measure.names=[gamma,sharpness]. "
    "`infomcr measures --json` gives one document."
)


def list_measures() -> Sequence[Measure]:
    """Return the registry, in its order."""
    return all_measures()


def document(measures: Sequence[Measure]) -> dict[str, Any]:
    """Return the JSON document of `measures --json`."""
    return {"measures": [_entry(measure) for measure in measures]}


def show(measures: Sequence[Measure], console: Console) -> None:
    """Print a card of each measure, no wider than the console, and how to choose."""
    for one in measures:
        console.print(Text.assemble((one.name, "bold"), f"  {one.unit}, {one.direction} is better  [{one.suite}]"))
        for name, value in _card(_entry(one)).items():
            console.print(Text(_indented(f"{name}: {value}", console.width)), soft_wrap=True)
    console.print(Text(textwrap.fill(_HOW, console.width, break_on_hyphens=False)), soft_wrap=True)


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
