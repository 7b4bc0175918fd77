"""The page of all measures in the documentation; `make docs` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infomcr_cli.measures.base import SUITES, Measure, chosen_measures
from infomcr_cli.measures.families import CHANGES, FAMILIES, Family

_HEAD = """# Measures

`make docs` generates this page. `infomcr measures` prints one line per measure, or all details of the measures that you
name; `infomcr measures --json` prints one document. [method.md](method.md) explains the symbols.

All measures are computed on training images. A value has a unit, the direction that is expected to generalize better,
and the convention it was computed with; estimates also have a standard error and an interval. If a measure is not
available for a network, its value is null and `reason` says why.

## Suites

`measure=NAME` selects a suite, `measure.names=[gamma,sharpness]` single measures. `fast` is part of `standard`, and
`standard` of `all`. `free` has the measures that need only gamma's draws, the per-sample gradients, the norms of the
layers and the history of the run. `volume` has gamma and the other log-volumes. Slower measures, such as noise scales,
the trace of the Hessian, and bounds and ratios of these, are only in `all`.

"""
_INVARIANCE = """## Invariance

A measure is invariant to a change if its value stays the same although the weights change. A test makes each change on
a small network and checks every claim.

"""
_COLUMNS = ("measure", "formula", "unit", "better", "suites", "cost", "invariant to", "needs", "source")


def page(measures: Sequence[Measure]) -> str:
    """Return the whole page, Markdown."""
    counts = ", ".join(f"`{name}` {sum(name in one.suites for one in measures)}" for name in SUITES)
    changes = "".join(f"- `{name}`: {text}.\n" for name, text in CHANGES.items())
    families = "".join(_family(name, [one for one in measures if one.family == name]) for name in FAMILIES)
    return f"{_HEAD}Number of measures: {counts}.\n\n{_INVARIANCE}{changes}\n## All measures by family\n{families}"


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
