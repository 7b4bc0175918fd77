"""The command `eval`: measure checkpoints of runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console, RenderableType

from infomcr_cli.config.schema.run import TrackingConfig
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.data import check_source, training_set_size
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.measures.base import check_measures
from infomcr_cli.runs import RunDirectory, list_checkpoints
from infomcr_cli.runs.measures_file import Evaluation, read_measures_file
from infomcr_cli.tracking.known_stores import store_of_resumed_run, store_of_run
from infomcr_cli.tracking.mirror_results import is_off
from infomcr_cli.tracking.process import MlflowProcess


@dataclass(frozen=True)
class EvalRequest:
    """What the command line asks for.

    Args:
        runs:       run directories.
        overrides:  Hydra overrides; none may change what makes a run's weights.
        checkpoint: "last", "best", "all" or the name of one.
        config_dir: a folder of configuration that comes first.
    """

    runs: Sequence[str]
    overrides: Sequence[str] = ()
    checkpoint: str = "last"
    config_dir: Path | None = None


@dataclass(frozen=True)
class EvalResult:
    """The evaluations of all checkpoints, each with its run."""

    exit_code: ClassVar[int] = 0

    evaluations: tuple[tuple[RunDirectory, Evaluation], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `eval --json`."""
        return {"runs": [{"run": str(run.path), **evaluation.to_dict()} for run, evaluation in self.evaluations]}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield scores, gaps and measures of each evaluation."""
        from infomcr_cli.report.terminal import evaluation_renderables

        for run, evaluation in self.evaluations:
            yield from evaluation_renderables(run.name, evaluation)


def evaluate(request: EvalRequest, console: Console, *, mlflow_process: bool = False) -> EvalResult:
    """Measure checkpoints, write measures.json and the pictures of each run, and mirror them.

    Args:
        mlflow_process: mirror in a process of its own, which imports MLflow while this one measures.

    Raises:
        InputError: a run, a checkpoint or an override cannot be used; nothing was measured then.
    """
    runs, jobs = [RunDirectory.open(run) for run in request.runs], []
    for run in runs:
        config = measured_run(run, request.overrides, request.config_dir)
        check_source(config.data)
        check_measures(config.measure, training_set_size(config.data))
        names = [info.name for info in list_checkpoints(run)]  # as measures.json keeps them
        _check_files(run, names, request.checkpoint)
        _check_store(run, config.tracking, request.overrides)
        jobs.append((run, config, names if request.checkpoint == "all" else [request.checkpoint]))
    wanted = not is_off(request.overrides)
    is_mirrored = wanted and any(config.tracking.name != "off" for _, config, _ in jobs)
    results: list[tuple[RunDirectory, Evaluation]] = []
    with MlflowProcess(is_separate=mlflow_process and is_mirrored) as mlflow:
        for run in runs[:1]:  # the runs usually share a store
            mlflow.prepare(run)
        import infomcr_cli.runtime  # noqa: F401 -- first: it keeps TensorFlow quiet and its import short
        from infomcr_cli.measures.evaluate import measure_run
        from infomcr_cli.report.plots.spectrum import save_spectra

        for run, config, names in jobs:
            try:
                with redirect_stdout(sys.stderr):  # a network of the user's own may print
                    measured = measure_run(run, config, names, console)
            except InputError as error:  # those before it are measured, and their files are written
                rule = f"{run.name} cannot be measured: {error.rule}"
                raise InputError(rule, received=error.received, accepted=error.accepted, advice=error.advice) from None
            save_spectra(measured, run.plots)
            results += [(run, evaluation) for evaluation in measured]
            if wanted:
                mlflow.mirror_results(run)
    return EvalResult(tuple(results))


def _check_store(run: RunDirectory, tracking: TrackingConfig, overrides: Sequence[str]) -> None:
    """Raise InputError if `tracking` names another store than that of the run, whose MLflow run is updated."""
    if not any(text.lstrip("+").startswith(("tracking.uri=", "tracking.experiment=")) for text in overrides):
        return
    store = store_of_resumed_run(run, tracking, overrides)
    own = store_of_run(run)
    if store is not None and (own is None or (own.uri, own.experiment) != (store.uri, store.experiment)):
        raise InputError(
            "eval updates the MLflow run of the run itself, not one in another store",
            received=store.shown,
            advice=f"Afterwards: {suggested_command('sync', run.path)} --tracking-uri {store.shown}",
        )


def _check_files(run: RunDirectory, names: Sequence[str], wanted: str) -> None:
    """Raise InputError before hours of measuring what is not there, or whose results could not be kept."""
    if not names:
        raise InputError("the run has no checkpoint to measure", received=str(run.path))
    if wanted not in ("last", "best", "all", *names):
        raise InputError("a checkpoint must exist", received=wanted, accepted=["last", "best", "all", *names])
    read_measures_file(run)  # the new values are added to it
    if not os.access(run.path, os.W_OK | os.X_OK):
        rule = "the directory of a measured run must be writable"
        raise InputError(
            rule, received=str(run.path), advice="Copy the run to another place, or change its permissions."
        )
