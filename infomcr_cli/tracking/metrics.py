"""Push the metrics and measures of a run to MLflow, and detect contradictions with the store."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.measures_file import PREFIX, measured_numbers
from infomcr_cli.runs.metrics import MetricsLine, MetricsLog
from infomcr_cli.runs.status import State, Status
from infomcr_cli.tracking.client import METRICS_A_BATCH, Progress
from infomcr_cli.tracking.models import tied_metric

NOT_COMPARED = ("timing/", PREFIX)
OWN = ("train/", "validation/", "test/", "clean_train/")  # the metrics that training logs, and learning_rate


class StaleMirrorError(Exception):
    """The store has a number that contradicts the directory."""


def push_metrics(client: Any, run: RunDirectory, status: Status, progress: Progress) -> None:
    """Push the lines of metrics.jsonl that are not mirrored yet.

    Raises:
        StaleMirrorError: the store holds numbers that the file contradicts.
    """
    lines, offset = MetricsLog(run).read_from(progress.offset)
    metrics = [metric for line in lines for metric in _metrics_of(line)]
    last_step = max((line.step for line in lines), default=-1)
    if progress.offset == 0 and status.state is not State.RUNNING:
        _refuse_steps_after(last_step, {metric.key for metric in metrics}, progress.stored)
    _refuse_contradictions(metrics, progress.stored)
    new = [metric for metric in metrics if (metric.key, metric.step) not in progress.stored]
    for start in range(0, len(new), METRICS_A_BATCH):
        client.log_batch(progress.run_id, metrics=new[start : start + METRICS_A_BATCH])
    progress.offset = offset


def push_measures(client: Any, run: RunDirectory, progress: Progress) -> None:
    """Log measures with their model and data; MLflow shows the latest value."""
    now = int(1000 * time.time())
    numbers = {(one.name, one.step): one.value for one in measured_numbers(run)}
    new = [key for key, value in numbers.items() if not _is_stored(key, value, progress)]
    metrics = [tied_metric(progress, name, numbers[name, step], now, step) for name, step in new]
    for start in range(0, len(metrics), METRICS_A_BATCH):
        client.log_batch(progress.run_id, metrics=metrics[start : start + METRICS_A_BATCH])
    progress.stored.update(numbers)
    progress.tied |= {(name, step) for name, step in numbers if step in progress.models}


def _is_stored(key: tuple[str, int], value: float, progress: Progress) -> bool:
    """Return whether a number is in the store, and tied to its model if there is one."""
    if key not in progress.stored or not _same(value, progress.stored[key]):
        return False
    return key[1] not in progress.models or key in progress.tied


def _refuse_steps_after(last: int, names: Set[str], stored: Mapping[tuple[str, int], float]) -> None:
    """Raise StaleMirrorError if the store has metrics after the last step of a run that has ended.

    A run that continues would log them again; one that has ended never had them. A user's own metrics stay.

    Args:
        names: of the metrics in the run directory.
    """
    for name, step in stored:
        is_own = name in names or name == "learning_rate" or name.startswith(OWN)
        if step > last and is_own and not name.startswith(NOT_COMPARED):
            raise StaleMirrorError


def _refuse_contradictions(metrics: Sequence[Any], stored: Mapping[tuple[str, int], float]) -> None:
    for metric in metrics:
        mirrored = stored.get((metric.key, metric.step))
        if mirrored is not None and not metric.key.startswith(NOT_COMPARED) and not _same(metric.value, mirrored):
            raise StaleMirrorError


def _metrics_of(line: MetricsLine) -> list[Any]:
    from mlflow.entities import Metric

    timing = {f"timing/{name}": value for name, value in line.timing.items() if name != "time"}
    stamp = int(1000 * line.timing.get("time", 0.0))
    return [Metric(name, value, stamp, line.step) for name, value in {**line.values, **timing}.items()]


def _same(truth: float, mirrored: float) -> bool:
    # SQL stores keep an infinity as the largest float64.
    return (
        truth == mirrored
        or (math.isnan(truth) and math.isnan(mirrored))
        or (math.isinf(truth) and abs(mirrored) > 1.7e308 and (truth > 0) == (mirrored > 0))
        or math.isclose(truth, mirrored, rel_tol=1e-12)
    )
