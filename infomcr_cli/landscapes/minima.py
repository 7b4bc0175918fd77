"""Open the minima that a command names (RUN or RUN@CHECKPOINT) before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.data import check_source, training_set_size
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.landscapes.digest import digest
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint
from infomcr_cli.runs.checkpoint import Checkpoint
from infomcr_cli.runs.directory import split_start

MOST_DIGITS = 13  # of a number of images


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
        """The label in plots."""
        return self.run.name if self.name == "last" else f"{self.run.name}@{self.name}"

    def identity(self) -> dict[str, object]:
        """Return the identity of its losses: the weights, and the data if the checkpoint names them."""
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
    minima = []
    for word in words:
        path, named = split_start(word)
        run = RunDirectory.open(path)
        config = measured_run(run, overrides, config_dir, done=done)
        if not list_checkpoints(run):
            raise InputError(f"a run needs a checkpoint to be {done}", received=str(run.path))
        name = named or checkpoint
        minima.append(Minimum(run, name, config, load_checkpoint(run, name)))
        check_source(config.data)
    return minima


def parsed_samples(given: str) -> int | None:
    """Return the number of images that `--samples` names; None: all.

    Raises:
        InputError: it is neither a number nor "all", or below 2.
    """
    if given == "all":
        return None
    if not (given.isdecimal() and given.isascii() and len(given) < MOST_DIGITS and int(given) >= 2):
        raise InputError("--samples must be a number of images, at least 2, or all", received=printable(given))
    return int(given)


def number_of_samples(given: str | None, minima: Sequence[Minimum]) -> int | None:
    """Return the number of training images for the losses; None for all.

    Args:
        given: a number or "all", as typed; None: `measure.samples`.

    Raises:
        InputError: it is neither, or below 2.
    """
    wanted = minima[0].config.measure.samples if given is None else parsed_samples(given)
    if wanted is None:
        return None
    sizes = [training_set_size(one.config.data) for one in minima]  # None: only reading the source would tell
    return None if all(size is not None and wanted >= size for size in sizes) else wanted
