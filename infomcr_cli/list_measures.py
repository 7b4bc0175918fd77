"""The verb `measures`: every measure that `eval` knows, with what it is, what it costs and what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from infomcr_cli.measures.registry import Measure, all_measures


def list_measures() -> Sequence[Measure]:
    """Return the registry, in its order."""
    return all_measures()


def document(measures: Sequence[Measure]) -> dict[str, Any]:
    """Return the JSON document of `measures --json`."""
    return {"measures": [_entry(measure) for measure in measures]}


def show(measures: Sequence[Measure], console: Console) -> None:
    """Print three lines for each measure, and how to choose."""
    for one in measures:
        console.print(Text.assemble((one.name, "bold"), f"  {one.unit}, {one.direction} is better  [{one.suite}]"))
        console.print(Text(f"    {one.formula}"), soft_wrap=True)
        console.print(Text(f"    {one.source}", style="dim"), soft_wrap=True)
    console.print(
        "Choose with measure=fast, standard or all, or measure.names=[gamma,sharpness]. "
        "Cost, needs and settings of each: infomcr measures --json.",
        markup=False,
        highlight=False,
    )


def _entry(measure: Measure) -> dict[str, Any]:
    chosen = "gamma.batch_norm" in measure.settings
    return {
        "name": measure.name,
        "formula": measure.formula,
        "source": measure.source,
        "unit": measure.unit,
        "direction": measure.direction,
        "cost": measure.cost,
        "needs": list(measure.needs),
        "settings": [f"measure.{name}" for name in measure.settings],
        "batch_norm": "as measure.gamma.batch_norm says" if chosen else "inference",
        "suite": measure.suite,
    }
