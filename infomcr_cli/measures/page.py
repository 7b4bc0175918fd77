"""The page of all measures in the documentation; `make docs` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infomcr_cli.measures.base import SUITES, Measure, chosen_measures
from infomcr_cli.measures.families import CHANGES, FAMILIES, Family

_HEAD = """# Measures

`make docs` makes this page from the registry. `infomcr measures` shows a line of each in a terminal, all about those
that are named after it; `infomcr measures --json` gives one document, and [method.md](method.md) explains the symbols.
Every measure is taken on training images alone. Its value has a unit, the direction that is expected to generalize
better, and the convention by which it was taken; estimated values have a standard error and an interval. A measure that
cannot be had for a network is null, and its `reason` says why.

## Suites

`measure=NAME` chooses a suite, `measure.names=[gamma,sharpness]` single measures. `all` holds `standard`, which holds
`fast`. `free` holds what takes no more than the draws of gamma, the gradients of the samples, the norms of the layers
and the history of the run; bounds and ratios of numbers that take longer, noise scales and the trace of the Hessian,
are in `all`. `volume` holds gamma and the other log-volumes.

"""
_INVARIANCE = """## Invariance

A measure is invariant to a change if its value stays while the network decides as before. A test makes each change on a
small network and holds every measure to what it claims.

"""
_COLUMNS = ("measure", "formula", "unit", "better", "suites", "cost", "invariant to", "needs", "source")


def page(measures: Sequence[Measure]) -> str:
    """Return the whole page, Markdown."""
    counts = ", ".join(f"`{name}` {sum(name in one.suites for one in measures)}" for name in SUITES)
    changes = "".join(f"- `{name}`: {text}.\n" for name, text in CHANGES.items())
    families = "".join(_family(name, [one for one in measures if one.family == name]) for name in FAMILIES)
    return f"{_HEAD}Measures in each: {counts}.\n\n{_INVARIANCE}{changes}\n## All measures by family\n{families}"


def _family(name: Family, measures: Sequence[Measure]) -> str:
    """Return the section of one family; nothing if it has no measure."""
    if not measures:
        return ""
    text = FAMILIES[name]
    table = "".join(map(_row, [_COLUMNS, ["---"] * len(_COLUMNS), *map(_cells, measures)]))
    return f"\n### {name}\n\n{text[0].upper()}{text[1:]}.\n\n{table}"


def _cells(measure: Measure) -> list[str]:
    suites = ", ".join(measure.suites)
    changes = ", ".join(change.removesuffix("_rescaling").removesuffix("_scaling") for change in measure.invariance)
    texts = (measure.formula, measure.unit, measure.direction, suites, measure.cost, changes or "–")
    return [f"`{measure.name}`", *texts, ", ".join(measure.needs) or "–", measure.source]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    print(page(chosen_measures()), end="")
