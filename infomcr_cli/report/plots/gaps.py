"""Gaps in the unit in which plots show them: errors in percent, losses in nats."""

from __future__ import annotations

from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import GAPS


def gap_label(gap: str) -> str:
    """Return the label of a gap's axis.

    Examples:
        >>> gap_label("error"), gap_label("loss")
        ('error gap, %', 'loss gap, nats')
    """
    return f"{GAPS[gap]}, {'nats' if gap == 'loss' else '%'}"


def shown_gap_error(run: EvaluatedRun, gap: str) -> float | None:
    """Return the standard error of a gap in the unit of its label; None if it is not known."""
    error = run.gap_std_error(gap)
    return error if error is None or gap == "loss" else 100 * error


def shown_gap(run: EvaluatedRun, gap: str) -> float | None:
    """Return a gap in the unit of its label; None if the run has none."""
    value = run.gap(gap)
    return value if value is None or gap == "loss" else 100 * value
