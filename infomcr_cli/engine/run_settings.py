"""Return the settings to resume a run with, and check those of a new run before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.data import training_set_size
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.known_builders import with_known_builders
from infomcr_cli.experiment.recorded_settings import resumed_run
from infomcr_cli.measures.base import check_measures
from infomcr_cli.runs import RunDirectory, list_checkpoints
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.tracking.moved_runs import read_settings


def resumed_run_settings(path: Path, overrides: Sequence[str], config_dir: Path | None = None) -> RunConfig:
    """Return the settings to resume a run with.

    Raises:
        InputError: the run or an override cannot be used; nothing has been changed.
    """
    run = RunDirectory.open(path)
    config = resumed_run(read_settings(run), overrides, config_dir, str(path), _recorded_overrides(run))
    if config.imported is not None:
        advice = f"Measure it: {suggested_command('eval', path)}"
        raise InputError("an imported run was trained elsewhere and cannot be resumed", received=path, advice=advice)
    return with_known_builders(run, config)


def _recorded_overrides(run: RunDirectory) -> list[str]:
    """Return the recorded overrides of a run; empty if they are missing or not readable."""
    try:
        overrides = parse_yaml(run.read("overrides.yaml"), f"overrides.yaml of {run.name}")
    except (InputError, OSError):
        return []
    return [text for text in overrides if isinstance(text, str)] if isinstance(overrides, list) else []


def check_start(start: str) -> None:
    """Raise InputError if the run to start from, or its checkpoint, does not exist."""
    path, name = split_start(start)
    found = [info.name for info in list_checkpoints(RunDirectory.open(path))]
    if not found or name not in ("", "last", "best", *found):
        raise InputError("a checkpoint must exist", received=start, accepted=["last", "best", *found] if found else ())


def warn_of_draws(config: RunConfig, say: Callable[[str], None]) -> Callable[[int], None] | None:
    """Warn if `eval` would refuse the run after training; if the data size is unknown, return a function that does.

    `eval` can still be given other settings then, so that training continues.

    Args:
        say: prints a line.

    Returns:
        A function of the number of training images; None if it was called.
    """

    def warn(images: int) -> None:
        try:
            check_measures(config.measure, images)
        except InputError as error:
            say(f"With these settings, eval will refuse to measure this run: {error}")

    images = training_set_size(config.data)
    if images is None:
        return warn
    warn(images)
    return None
