"""List the experiments of a store that have runs, the one with the latest run first."""

from __future__ import annotations

from dataclasses import dataclass

from infomcr_cli.console.text import printable
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.store import Store


@dataclass(frozen=True)
class Experiment:
    """An experiment in MLflow.

    Attributes:
        name: safe to print.
    """

    name: str
    id: str


def experiments_with_runs(store: Store) -> list[Experiment]:
    """Return the experiments that have a run, the one with the latest run first.

    Raises:
        Exception: MLflow's own, if the store cannot be reached.
    """
    client = connect(store)
    latest: list[tuple[int, Experiment]] = []
    for found in client.search_experiments():
        runs = client.search_runs([found.experiment_id], max_results=1, order_by=["start_time DESC"])
        if runs:
            started = runs[0].info.start_time or 0
            latest.append((started, Experiment(printable(found.name, 100), str(found.experiment_id))))
    return [experiment for _, experiment in sorted(latest, key=lambda pair: -pair[0])]
