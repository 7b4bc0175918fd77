"""The audit of a run: how far its measures move when something changes that should not matter.

| symbol | meaning |
| --- | --- |
| x_0 | a measure of the audited run |
| x_1 … x_k | the same after k changes of one kind |
| s | standard deviation of x_0 … x_k: the spread that the change causes |
| S | standard deviation of the measure over the minima of a comparison |
| s/S | fragility: near 0, the change is lost among the differences between minima; near 1, it is as large as they |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from infomcr_cli.errors import InputError
from infomcr_cli.report.evaluated_run import ComparedRun, EvaluatedRun
from infomcr_cli.report.tables import NONE, TextTable, format_number, format_stat
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, dump_json, parse_record
from infomcr_cli.runs.io.safe_files import read_file, write_atomically

CHANGES = {
    "rescaling": "layers rescaled without changing the function",
    "more_epochs": "trained further",
    "seed": "another seed",
    "order": "another order of batches",
}
FILE = "audit.json"
CAPTION = (
    "spread: standard deviation over the run and its changed versions. In parentheses: the fragility, which is this "
    "spread divided by the spread between the minima. A dash: no value, or the minima do not differ."
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class ChangedValues(_Record):
    """A measure under one kind of change.

    Attributes:
        values: after each change; None if the measure has none.
        spread: s; None with fewer than two values.
        ratio:  s/S; None without S.
    """

    values: list[float | None]
    spread: float | None = None
    ratio: float | None = None


class AuditedMeasure(_Record):
    """One measure of the audit.

    Attributes:
        value:          x_0.
        between_minima: S; None without a comparison, if the minima do not differ, or if the numbers are of another
                        convention.
        minima:         how many minima S comes from.
        changes:        by kind.
    """

    value: float | None
    unit: str | None = None
    direction: str | None = None
    between_minima: float | None = None
    minima: int = 0
    changes: dict[str, ChangedValues] = {}

    @property
    def fragility(self) -> float | None:
        """The largest ratio of all kinds of changes."""
        ratios = [one.ratio for one in self.changes.values() if one.ratio is not None]
        return max(ratios, default=None)


class Audit(_Record):
    """audit.json of a run.

    Attributes:
        changes: kind → how often it was made, and with what.
        against: names of the runs that the spread between minima comes from.
    """

    run: str
    checkpoint: str
    changes: dict[str, dict[str, Any]]
    against: Annotated[list[str], Field(max_length=100_000)] = []
    measures: Annotated[dict[str, AuditedMeasure], Field(max_length=1000)] = {}
    notes: list[str] = []
    files: list[str] = []


@dataclass(frozen=True)
class MeasuredValue:
    """A measure of one network, with what two values must share to be compared."""

    value: float | None
    unit: str | None = None
    direction: str | None = None
    convention: Any = None


Values = Mapping[str, MeasuredValue]


def spread(values: Iterable[float | None]) -> float | None:
    """Return the standard deviation (ddof 1) of the numbers among some values.

    None if there are fewer than two, or if it is no finite number.

    Examples:
        >>> spread([1.0, 3.0, None]) == math.sqrt(2)
        True
    """
    found = np.array([value for value in values if value is not None], np.float64)  # [k + 1] without missing ones
    if len(found) < 2 or not np.isfinite(found).all():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(float(found.std(ddof=1)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def audited_measures(
    original: Values, changed: Mapping[str, Sequence[Values]], minima: Sequence[EvaluatedRun]
) -> dict[str, AuditedMeasure]:
    """Return the record of each measure.

    Args:
        original: measures of the audited run.
        changed:  kind of change → measures after each change.
        minima:   evaluated runs of the comparison; their values count if their convention is that of `original`.
    """
    return {name: _audited(name, one, changed, minima) for name, one in original.items()}


def _audited(
    name: str, one: MeasuredValue, changed: Mapping[str, Sequence[Values]], minima: Sequence[EvaluatedRun]
) -> AuditedMeasure:
    found = [run.evaluation.measures[name] for run in minima if name in run.evaluation.measures]
    alike = [other.value for other in found if other.convention == one.convention and other.value is not None]
    between = spread(alike) or None  # minima that do not differ are no scale
    kinds = {}
    for kind, versions in changed.items():
        values = [version[name].value if name in version else None for version in versions]
        caused = spread([one.value, *values]) if one.value is not None else None
        ratio = None if caused is None or between is None else _finite(caused / between)
        kinds[kind] = ChangedValues(values=values, spread=caused, ratio=ratio)
    return AuditedMeasure(
        value=one.value,
        unit=one.unit,
        direction=one.direction,
        between_minima=between,
        minima=len(alike),
        changes=kinds,
    )


def audit_table(audit: Audit) -> TextTable:
    """Return value, spread between minima, and the spread of each change with its fragility; the steadiest first."""
    kinds = list(audit.changes)
    # a measure without a fragility comes last
    measures = sorted(
        audit.measures.items(), key=lambda item: math.inf if item[1].fragility is None else item[1].fragility
    )
    rows = tuple(
        (
            name,
            format_number(one.value),
            one.unit or NONE,
            format_number(one.between_minima),
            *(_cell(one.changes.get(kind)) for kind in kinds),
        )
        for name, one in measures
    )
    heads = ("measure", "value", "unit", "between minima", *(kind.replace("_", " ") for kind in kinds))
    return TextTable(f"Audit of {audit.run}", heads, rows, CAPTION)


def _cell(changed: ChangedValues | None) -> str:
    if changed is None or changed.spread is None:
        return NONE
    return f"{format_number(changed.spread)} ({format_stat(changed.ratio)})"


def write_audit(run: RunDirectory, audit: Audit) -> None:
    """Write audit.json of a run."""
    write_atomically(run.path / FILE, dump_json(audit.model_dump(mode="json")))


def read_audit(run: RunDirectory) -> Audit | None:
    """Return what audit.json of a run holds; None if there is none.

    Raises:
        InputError: it is not what `infomcr audit` writes.
    """
    try:
        content = run.read(FILE)
    except FileNotFoundError:
        return None
    return parse_record(content, f"{FILE} of {run.name}", Audit, command="audit")


def read_audit_file(path: Path) -> Audit:
    """Return the audit that a file holds.

    Raises:
        InputError: it cannot be read, or is not what `infomcr audit` writes.
    """
    try:
        content = read_file(path.parent, path.name, MAX_DOCUMENT)
    except OSError as error:
        raise InputError("the audit file must be readable", received=str(path), advice=error.strerror) from None
    return parse_record(content, str(path), Audit, command="audit")


def audits_of(runs: Iterable[ComparedRun]) -> list[Audit]:
    """Return the audits that some runs have; a file that cannot be read is skipped: it is not part of a run."""
    found = []
    for run in runs:
        try:
            found.append(read_audit(run.directory))
        except (InputError, OSError):
            continue
    return [one for one in found if one is not None]


def fragility_of(audits: Sequence[Audit]) -> dict[str, float]:
    """Return the mean fragility of each measure over the audits that give one."""
    known: dict[str, list[float]] = {}
    for audit in audits:
        for name, one in audit.measures.items():
            if one.fragility is not None:
                known.setdefault(name, []).append(one.fragility)
    return {name: float(np.mean(values)) for name, values in known.items()}
