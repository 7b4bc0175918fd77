"""A measure at every evaluated checkpoint of one run, in one convention."""

from __future__ import annotations

from dataclasses import dataclass

from infomcr_cli.report.entry import Entry, convention_text


@dataclass(frozen=True)
class Trajectory:
    """Values over training.

    Attributes:
        points:   (step, value), by step.
        left_out: steps that were evaluated in other conventions alone.
    """

    points: tuple[tuple[int, float], ...]
    left_out: int


def trajectory(entry: Entry, measure: str) -> Trajectory:
    """Return a measure along training, as far as its convention is that of the number which is compared.

    A run whose compared checkpoint lacks the measure has no points: nothing says which convention is the one.
    """
    compared = entry.evaluation.measures.get(measure) if entry.evaluation else None
    wanted = None if compared is None else convention_text(compared.convention)
    same: dict[int, float] = {}
    steps: set[int] = set()
    for one in entry.evaluations.values():
        found = one.measures.get(measure)
        if one.step is None or found is None or found.value is None:
            continue
        steps.add(one.step)
        if convention_text(found.convention) == wanted:
            same[one.step] = found.value
    return Trajectory(tuple(sorted(same.items())), len(steps - same.keys()))
