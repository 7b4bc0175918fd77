"""Numbers of different conventions are not ranked together: which measures have several, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import flatten, full_text, labels_of
from infomcr_cli.report.evaluated_run import EvaluatedRun, convention_text


@dataclass(frozen=True)
class ConventionConflict:
    """A measure that was taken in several ways: for each way what is its own, and the runs that have it."""

    measure: str
    ways: tuple[tuple[str, tuple[str, ...]], ...]

    def sentence(self) -> str:
        """Return what differs, in words."""
        parts = [f"{what} in {_some(runs)}" for what, runs in self.ways]
        return f"{self.measure}: " + "; ".join(parts)

    def by_run(self) -> dict[str, str]:
        """Return for each run that has a value what is its own way."""
        return {run: what for what, runs in self.ways for run in runs}


def convention_conflicts(entries: Sequence[EvaluatedRun]) -> tuple[ConventionConflict, ...]:
    """Return the measures whose convention is not the same in all runs that have a value."""
    ways: dict[str, dict[str, tuple[Any, list[str]]]] = {}
    for entry in entries:
        for name, measured in entry.evaluation.measures.items() if entry.evaluation else ():
            if measured.value is not None:
                of_measure = ways.setdefault(name, {})
                key = convention_text(measured.convention)
                of_measure.setdefault(key, (measured.convention, []))[1].append(entry.name)
    return tuple(_mixture(name, list(found.values())) for name, found in ways.items() if len(found) > 1)


def refuse_convention_conflicts(found: Sequence[ConventionConflict]) -> None:
    """Raise where there is any.

    Raises:
        InputError: says which runs differ in what.
    """
    if found:
        shown = ". ".join(mixture.sentence() for mixture in found[:5])
        more = f" (and {len(found) - 5} measures more)" if len(found) > 5 else ""
        raise InputError(
            f"numbers of different conventions must not be ranked together: {shown}{more}",
            advice="Evaluate all runs with the same measure settings, or mark the mixture with --allow-mixed.",
        )


def _mixture(name: str, found: list[tuple[Any, list[str]]]) -> ConventionConflict:
    flat = [convention if isinstance(convention, Mapping) else {"convention": convention} for convention, _ in found]
    flat = [flatten(one) for one in flat]
    keys = sorted({key for one in flat for key in one})
    columns = {key: tuple(full_text(one.get(key)) for one in flat) for key in keys}
    differing = {key: labels_of(column) for key, column in columns.items() if len(set(column)) > 1}
    described = [
        ", ".join(f"{key}={labels[index]}" for key, labels in differing.items()) or "another convention"
        for index in range(len(flat))
    ]
    return ConventionConflict(
        name, tuple((what, tuple(runs)) for what, (_, runs) in zip(described, found, strict=True))
    )


def _some(runs: Sequence[str]) -> str:
    return ", ".join(runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
