"""Conventions of measures, with unit and direction: numbers of different conventions must not be ranked together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infomcr_cli.errors import InputError
from infomcr_cli.judging.result import DIRECTIONS
from infomcr_cli.report.axes import flatten, full_text, labels_of
from infomcr_cli.report.evaluated_run import EvaluatedRun


@dataclass(frozen=True)
class ConventionConflict:
    """A measure whose numbers are of several conventions.

    Attributes:
        conventions: for each convention the settings that distinguish it, and the runs that have it.
    """

    measure: str
    conventions: tuple[tuple[str, tuple[str, ...]], ...]

    def sentence(self) -> str:
        """Return what differs, in words."""
        parts = []
        for what, runs in self.conventions:
            more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
            parts.append(f"{what} in {', '.join(runs[:3])}{more}")
        return f"{self.measure}: " + "; ".join(parts)

    def by_run(self) -> dict[str, str]:
        """Return what distinguishes the convention of each run that has a value."""
        return {run: what for what, runs in self.conventions for run in runs}


def direction_of(runs: Sequence[EvaluatedRun], measure: str) -> str | None:
    """Return "lower" or "higher" as the first run that records a direction says."""
    found = (run.evaluation.measures[measure].direction for run in runs if measure in run.evaluation.measures)
    return next((direction for direction in found if direction in DIRECTIONS), None)


def unit_of(runs: Sequence[EvaluatedRun], measure: str) -> str | None:
    """Return the unit of a measure as the first run that records one says."""
    found = (run.evaluation.measures[measure].unit for run in runs if measure in run.evaluation.measures)
    return next((unit for unit in found if unit), None)


def convention_text(convention: Any) -> str:
    """Return a convention as canonical text, by which two conventions are compared."""
    return json.dumps(convention, sort_keys=True, default=str)


def convention_conflicts(runs: Sequence[EvaluatedRun], *, allowed: bool = True) -> tuple[ConventionConflict, ...]:
    """Return the measures whose convention is not the same in all runs that have a value.

    Raises:
        InputError: there are such measures, but they are not `allowed`; it says which runs differ in what.
    """
    found: dict[str, dict[str, tuple[Any, list[str]]]] = {}  # measure -> text -> (convention, runs)
    for run in runs:
        for name, measured in run.evaluation.measures.items():
            if measured.value is not None:
                conventions = found.setdefault(name, {})
                key = convention_text(measured.convention)
                conventions.setdefault(key, (measured.convention, []))[1].append(run.name)
    conflicts = tuple(_conflict(name, list(one.values())) for name, one in found.items() if len(one) > 1)
    if conflicts and not allowed:
        shown = ". ".join(conflict.sentence() for conflict in conflicts[:5])
        more = f" (and {len(conflicts) - 5} more measures)" if len(conflicts) > 5 else ""
        raise InputError(
            f"values of different conventions cannot be ranked together: {shown}{more}",
            advice="Evaluate all runs with the same measure settings, or use --allow-mixed to rank and mark them.",
        )
    return conflicts


def _conflict(measure: str, found: Sequence[tuple[Any, Sequence[str]]]) -> ConventionConflict:
    """Return a conflict in which each convention is described by the settings that differ."""
    nested = [convention if isinstance(convention, Mapping) else {"convention": convention} for convention, _ in found]
    flat = [flatten(one) for one in nested]
    columns = {key: [full_text(one.get(key)) for one in flat] for key in sorted({key for one in flat for key in one})}
    differing = {key: labels_of(column) for key, column in columns.items() if len(set(column)) > 1}
    described = [
        ", ".join(f"{key}={labels[index]}" for key, labels in differing.items()) or "another convention"
        for index in range(len(flat))
    ]
    return ConventionConflict(
        measure, tuple((what, tuple(runs)) for what, (_, runs) in zip(described, found, strict=True))
    )
