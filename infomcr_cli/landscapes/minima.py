"""The minima that a command names, RUN or RUN@CHECKPOINT, read and checked before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import check_source, training_set_size
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.landscapes.digest import digest
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint
from infomcr_cli.runs.checkpoint import Checkpoint
from infomcr_cli.runs.directory import split_start


@dataclass(frozen=True)
class Minimum:
    """One checkpoint of a run.

    Args:
        name:       of the checkpoint as it was named: "last", "best" or its own.
        config:     of the run, with settings that a later command may change.
        checkpoint: its weights, step and epoch; the checksum is verified.
    """

    run: RunDirectory
    name: str
    config: RunConfig
    checkpoint: Checkpoint

    @property
    def label(self) -> str:
        """What pictures call it."""
        return self.run.name if self.name == "last" else f"{self.run.name}@{self.name}"

    def identity(self) -> dict[str, object]:
        """Return what its losses depend on: its weights, and its data where the checkpoint names them."""
        return {"weights": digest(self.checkpoint.weights), "data": self.checkpoint.extra.get("data")}


def open_minima(
    words: Sequence[str], checkpoint: str, overrides: Sequence[str], config_dir: Path | None, *, done: str
) -> list[Minimum]:
    """Return the minima that RUN or RUN@CHECKPOINT name.

    Args:
        checkpoint: of those that name none: "last", "best" or a name.
        overrides:  Hydra overrides; none may change what makes a run's weights.
        done:       what is done with the runs, for messages.

    Raises:
        InputError: a run, a checkpoint or an override cannot be used.
    """
    return [_open(word, checkpoint, overrides, config_dir, done) for word in words]


def _open(word: str, checkpoint: str, overrides: Sequence[str], config_dir: Path | None, done: str) -> Minimum:
    path, named = split_start(word)
    run = RunDirectory.open(path)
    config = measured_run(run, overrides, config_dir, done=done)
    if not list_checkpoints(run):
        raise InputError(f"a run must have a checkpoint to be {done}", received=str(run.path))
    name = named or checkpoint
    minimum = Minimum(run, name, config, load_checkpoint(run, name))
    check_source(config.data)
    return minimum


def number_of_samples(given: str | None, minima: Sequence[Minimum]) -> int | None:
    """Return how many training images losses are taken of; None: all of them.

    Args:
        given: a number or "all", as typed; None: `measure.samples`.

    Raises:
        InputError: it is neither, or below 2.
    """
    if given is not None and given != "all" and not (given.isdecimal() and given.isascii() and int(given) >= 2):
        raise InputError("--samples must be a number of training images, at least 2, or all", received=given)
    if given == "all":
        return None
    wanted = minima[0].config.measure.samples if given is None else int(given)
    sizes = [training_set_size(one.config.data) for one in minima]  # None: the data does not lie here
    return None if all(size is not None and wanted >= size for size in sizes) else wanted


def check_same_network(minima: Sequence[Minimum]) -> None:
    """Raise InputError unless all minima are of one architecture and of the same data."""
    first, *others = minima
    for other in others:
        if _architecture(other) != _architecture(first) or _shapes(other) != _shapes(first):
            raise InputError(
                "minima of one plane or path must be of the same network",
                received=f"{first.label} ({first.config.model.name}) and {other.label} ({other.config.model.name})",
                advice="Their model settings must agree.",
            )
        known = [one.checkpoint.extra.get("data") for one in (first, other)]
        if None not in known and known[0] != known[1]:
            raise InputError(
                "minima of one plane or path must be of the same data", received=f"{first.label} and {other.label}"
            )


def _shapes(minimum: Minimum) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(array) for name, array in minimum.checkpoint.weights.items()}


def _architecture(minimum: Minimum) -> dict[str, object]:
    """Return the settings of the network in inference mode: dropout changes nothing there."""
    return minimum.config.model.model_dump(exclude={"dropout"})
