"""Update the mirror of a run after a command has added results to its directory."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.status import State, read_status
from infomcr_cli.tracking.known_stores import store_of_run
from infomcr_cli.tracking.sync import sync_run

_log = logging.getLogger("infomcr.runs")


def is_off(overrides: Iterable[str]) -> bool:
    """Return whether `tracking=off` is among some overrides: the command mirrors nothing then."""
    return not {"tracking=off", "tracking.name=off"}.isdisjoint(text.lstrip("+") for text in overrides)


def mirror_results(run: RunDirectory) -> None:
    """Update the MLflow run of a run, if it has one; only its own process mirrors a run in training.

    A failure is only a warning: the results are in the run directory, and `infomcr sync` mirrors them later.
    """
    try:
        store = store_of_run(run)
        if store is None or read_status(run).state is State.RUNNING:
            return
        problem = sync_run(run, store).problem
    except (InputError, OSError) as error:
        problem = str(error)
    if problem:
        _log.warning(
            "Could not mirror %s to MLflow: %s. Retry later: %s", run.name, problem, suggested_command("sync", run.path)
        )
