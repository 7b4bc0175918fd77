"""The order of a comparison: by which statistic its measures are ranked, by which column its runs are sorted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from infomcr_cli.errors import InputError
from infomcr_cli.judging.result import STATISTICS
from infomcr_cli.report.axes import Axis
from infomcr_cli.report.evaluated_run import EvaluatedRun, measure_names

_SHORT = {"tau": "kendall_tau", "rho": "spearman_rho", "psi": "granulated_psi", "k": "conditional_information"}
_SCORES: dict[str, Callable[[EvaluatedRun], float | None]] = {
    "gap": lambda run: run.evaluation.gap.error,
    "loss_gap": lambda run: run.evaluation.gap.loss,
    "train_loss": lambda run: run.evaluation.train.loss,
    "test_loss": lambda run: run.evaluation.test.loss,
    "compute": lambda run: run.compute.epochs if run.compute else None,
    "test_accuracy": lambda run: run.evaluation.test.accuracy,
}


def statistic_of(sort: str | None) -> str | None:
    """Return the statistic that `--sort` names; None if it names a column of the table of runs.

    Examples:
        >>> statistic_of("psi"), statistic_of("gamma")
        ('granulated_psi', None)
    """
    name = _SHORT.get((sort or "").lower(), sort)
    return name if name in STATISTICS else None


def sorted_runs(
    runs: Sequence[EvaluatedRun], axes: Sequence[Axis], sort: str | None
) -> tuple[tuple[EvaluatedRun, ...], tuple[Axis, ...]]:
    """Return the runs in ascending order of a column, missing values last, and the axes with labels in that order.

    Args:
        sort: what `--sort` names: a column of the table of runs, or a statistic, which leaves the order as it is.

    Raises:
        InputError: it names neither.
    """
    if sort is None or statistic_of(sort) is not None:
        return tuple(runs), tuple(axes)
    accepted = [*STATISTICS, "name", *_SCORES, *(axis.name for axis in axes), *measure_names(runs)]
    if sort not in accepted:
        rule = "--sort must name a statistic, a measure, a gap or a setting that differs"
        raise InputError(rule, received=sort, accepted=accepted)
    axis = next((axis for axis in axes if axis.name == sort), None)

    def key(index: int) -> tuple[bool, float, str]:
        run = runs[index]
        if sort == "name":
            return False, 0.0, run.name
        if axis is not None:
            return False, float(axis.values.index(axis.labels[index])), ""
        value = _SCORES[sort](run) if sort in _SCORES else run.value(sort)
        return value is None, value or 0.0, ""

    order = sorted(range(len(runs)), key=key)
    reordered = [Axis(axis.name, axis.keys, tuple(axis.labels[i] for i in order)) for axis in axes]
    return tuple(runs[i] for i in order), tuple(reordered)
