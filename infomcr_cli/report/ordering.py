"""In which order runs and measures are shown, and that each run has a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import Axis, find_axes
from infomcr_cli.report.comparison import Comparison, judged_of, measure_names
from infomcr_cli.report.entry import Entry
from infomcr_cli.report.verdict import STATISTICS
from infomcr_cli.runs.documents import printable

_SHORT = {"tau": "kendall_tau", "rho": "spearman_rho", "psi": "granulated_psi", "k": "conditional_information"}
_SCORES: dict[str, Callable[[Entry], float | None]] = {
    "gap": lambda entry: entry.evaluation.gap.error if entry.evaluation else None,
    "loss_gap": lambda entry: entry.evaluation.gap.loss if entry.evaluation else None,
    "train_loss": lambda entry: entry.evaluation.train.loss if entry.evaluation else None,
    "test_loss": lambda entry: entry.evaluation.test.loss if entry.evaluation else None,
    "compute": lambda entry: entry.compute.epochs if entry.compute else None,
    "test_accuracy": lambda entry: entry.evaluation.test.accuracy if entry.evaluation else None,
}


def statistic_of(sort: str | None) -> str:
    """Return the statistic that a sort asks the measures to be ranked by; τ where it names a column of runs."""
    name = _SHORT.get((sort or "").lower(), sort)
    return name if name in STATISTICS else "kendall_tau"


def check_sort(entries: Sequence[Entry], sort: str | None) -> None:
    """Raise where a sort is neither a statistic nor a column of the table of runs.

    Raises: InputError: it is neither.
    """
    if sort is None or _names_statistic(sort):
        return
    judged = judged_of(entries)
    axes = [axis.name for axis in find_axes([entry.settings for entry in judged])]
    accepted = [*STATISTICS, "name", *_SCORES, *axes, *measure_names(judged)]
    if sort not in accepted:
        raise InputError(
            "--sort must name a statistic, a measure, a gap or a setting that differs", received=sort, accepted=accepted
        )


def ordered(comparison: Comparison, sort: str | None) -> Comparison:
    """Return the comparison with its runs in the order of a column; ascending, missing values last.

    Args:    sort: one that `check_sort` accepts.
    """
    if sort is None or _names_statistic(sort):
        return comparison
    axes = {axis.name: axis for axis in comparison.axes}
    order = sorted(range(len(comparison.judged)), key=lambda index: _key(comparison, index, sort, axes))
    shuffled = [Axis(axis.name, axis.keys, tuple(axis.labels[i] for i in order)) for axis in comparison.axes]
    return replace(comparison, judged=tuple(comparison.judged[i] for i in order), axes=tuple(shuffled))


def unique_names(entries: Sequence[Entry]) -> list[Entry]:
    """Return the runs, those that share a name called by their parent directory as well, then by number."""
    counts = Counter(entry.name for entry in entries)
    longer = [
        replace(entry, name=printable(f"{entry.run.path.parent.name}/{entry.run.path.name}"))
        if counts[entry.name] > 1
        else entry
        for entry in entries
    ]
    counts, seen = Counter(entry.name for entry in longer), Counter[str]()
    unique = []
    for entry in longer:
        seen[entry.name] += 1
        unique.append(replace(entry, name=f"{entry.name} ({seen[entry.name]})") if counts[entry.name] > 1 else entry)
    return unique


def _names_statistic(sort: str) -> bool:
    return _SHORT.get(sort.lower(), sort) in STATISTICS


def _key(comparison: Comparison, index: int, sort: str, axes: dict[str, Axis]) -> tuple[bool, float, str]:
    entry = comparison.judged[index]
    if sort == "name":
        return False, 0.0, entry.name
    if sort in axes:
        return False, float(axes[sort].values.index(axes[sort].labels[index])), ""
    measured = entry.evaluation.measures.get(sort) if entry.evaluation else None
    value = _SCORES[sort](entry) if sort in _SCORES else (measured.value if measured else None)
    return value is None, value or 0.0, ""
