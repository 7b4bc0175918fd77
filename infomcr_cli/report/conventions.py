"""Conventions of measures: numbers of different conventions must not be ranked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import flatten, full_text, labels_of
from infomcr_cli.report.evaluated_run import EvaluatedRun, convention_text


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


def convention_conflicts(runs: Sequence[EvaluatedRun]) -> tuple[ConventionConflict, ...]:
    """Return the measures whose convention is not the same in all runs that have a value."""
    found: dict[str, dict[str, tuple[Any, list[str]]]] = {}  # measure -> text -> (convention, runs)
    for run in runs:
        for name, measured in run.evaluation.measures.items():
            if measured.value is not None:
                conventions = found.setdefault(name, {})
                key = convention_text(measured.convention)
                conventions.setdefault(key, (measured.convention, []))[1].append(run.name)
    return tuple(_conflict(name, list(one.values())) for name, one in found.items() if len(one) > 1)


def refuse_convention_conflicts(conflicts: Sequence[ConventionConflict]) -> None:
    """Raise if there are any.

    Raises:
        InputError: says which runs differ in what.
    """
    if conflicts:
        shown = ". ".join(conflict.sentence() for conflict in conflicts[:5])
        more = f" (and {len(conflicts) - 5} more measures)" if len(conflicts) > 5 else ""
        raise InputError(
            f"values of different conventions cannot be ranked together: {shown}{more}",
            advice="Evaluate all runs with the same measure settings, or use --allow-mixed to rank and mark them.",
        )


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
