"""`load_run`: opens a run directory, with its settings, metrics, measures and networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.runs import MetricsLog, RunDirectory, list_checkpoints, load_checkpoint
from infomcr_cli.runs.measures_file import read_measures_file

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from infomcr_cli.data import Dataset

SPLITS = ("train", "test", "validation")


@dataclass(frozen=True)
class SavedRun:
    """A run directory, read on demand.

    Args:
        path:   path of the directory.
        config: resolved settings, such as `config.optimizer.learning_rate`; `config.model_dump()` is a dict.
    """

    path: Path
    config: RunConfig

    @property
    def metrics(self) -> pd.DataFrame:
        """The logged metrics, one row per epoch: step, epoch, values such as `train/loss`, and times.

        Raises:
            InputError: metrics.jsonl is not what this program writes.
        """
        import pandas as pd

        lines = MetricsLog(self._directory).read()
        timing = [{f"timing/{name}": value for name, value in line.timing.items()} for line in lines]
        rows = [
            {"step": line.step, "epoch": line.epoch, **line.values, **times}
            for line, times in zip(lines, timing, strict=True)
        ]
        return pd.DataFrame(rows, columns=None if rows else ["step", "epoch"])  # without rows pandas knows no names

    @property
    def measures(self) -> dict[str, dict[str, Any]]:
        """The measures of the last checkpoint, {NAME: {"value", "std_error", …}}; empty before `infomcr eval`."""
        return dict(self.evaluations.get("last", {}).get("measures", {}))

    @property
    def evaluations(self) -> dict[str, dict[str, Any]]:
        """The results of `infomcr eval` for each checkpoint, as in its JSON document: scores, gaps, measures."""
        recorded = read_measures_file(self._directory).checkpoints
        return {name: evaluation.to_dict() for name, evaluation in recorded.items()}

    @property
    def checkpoints(self) -> list[str]:
        """The names of the checkpoints, by step."""
        return [info.name for info in list_checkpoints(self._directory)]

    def model(self, checkpoint: str = "last") -> keras.Model:
        """Return the network with the weights of a checkpoint.

        It takes samples as `arrays` returns them: standardised images, (pixels - mean) / std of the run's data with
        pixels on the 0..255 scale, unless `config.data.scaling` says otherwise. It returns logits.

        Args:
            checkpoint: "last", "best" (lowest training loss) or the name of one.

        Raises:
            InputError: there is no such checkpoint, the data is gone, or the network is built by a function that you
                have not named.
        """
        from infomcr_cli.exchange.run_network import network_of_run
        from infomcr_cli.models.names import assign_all, named_weights

        names = self.checkpoints
        if checkpoint not in ("last", "best", *names) or not names:
            raise InputError("a checkpoint must exist", received=checkpoint, accepted=["last", "best", *names])
        found = load_checkpoint(self._directory, checkpoint)
        model = network_of_run(self._directory, self.config, self._dataset)
        assign_all(named_weights(model), found.weights)
        return model

    def initial_weights(self) -> dict[str, Any] | None:
        """Return the weights before training by name, for `measure`; None if they are unknown.

        They are drawn again from the run's seed; so are the states of this process's random generators.

        Raises:
            InputError: as `model` does.
        """
        from infomcr_cli.exchange.run_network import weights_before_training

        found = weights_before_training(self._directory, self.config, self._dataset)
        return None if found is None else dict(found)

    def arrays(self, split: str = "train") -> tuple[Any, NDArray[np.int32]]:
        """Return the samples and labels of a split, standardised for the network, in stored order.

        Args:
            split: train, test or validation.

        Returns:
            (images [n, height, width, channels], labels [n]); a dict of arrays for a network of several inputs.

        Raises:
            InputError: the run has no such split, or its data is gone.
        """
        if split not in SPLITS:
            raise InputError("a split must be known", received=split, accepted=SPLITS)
        found = getattr(self._dataset, split)
        if found is None:
            raise InputError("the run has no validation split", advice="Train with data.validation_size=N to have one.")
        return self._dataset.standardise(found.images[:]), found.labels

    def standardise(self, images: Any) -> NDArray[np.float32]:
        """Return images scaled for the network: (pixels - mean) / std of the run's data, or as `data.scaling` says.

        Args:
            images: pixels on the 0..255 scale, [..., channels].
        """
        from infomcr_cli.data.inputs import is_scalable

        pixels = np.asarray(images)
        if is_scalable(self._dataset.train.images) and pixels.dtype.kind in "iub":
            pixels = pixels.astype(np.float32)  # other whole numbers than uint8 would be taken for tokens
        return self._dataset.standardise(pixels)

    def __repr__(self) -> str:
        return f"SavedRun({str(self.path)!r})"

    @property
    def _directory(self) -> RunDirectory:
        return RunDirectory(self.path)

    @cached_property
    def _dataset(self) -> Dataset:
        from infomcr_cli.data import check_source, load_dataset

        check_source(self.config.data)
        dataset = load_dataset(self.config.data, seed=self.config.seed)
        if self.config.imported is None:
            return dataset
        from infomcr_cli.exchange.fitting import fitted
        from infomcr_cli.exchange.run_network import network_of_run

        return fitted(dataset, network_of_run(self._directory, self.config, dataset))


def load_run(path: str | PathLike[str], overrides: Sequence[str] = ()) -> SavedRun:
    """Open a run directory.

    Nothing in the directory is executed, since it may come from anyone. If its network is built by a function that
    you have not named for this run before, name it as on the command line:
    `load_run(path, ["model.builder=package.module:net"])`.

    Args:
        path:      the run directory.
        overrides: changed settings, such as "data.root=/data/cifar10"; they must not change how the weights were made.

    Returns:
        an object with `config`, `metrics` (a DataFrame), `measures`, `model(checkpoint)` and `arrays(split)`.

    Raises:
        InputError: there is no run, it contains links or broken files, or an override is not allowed.

    Examples:
        >>> from infomcr_cli import load_run
        >>> load_run("nowhere")
        Traceback (most recent call last):
        infomcr_cli.errors.InputError: a run must be a directory with config.yaml and status.json; got 'nowhere'.
    """
    if isinstance(overrides, str):
        overrides = [overrides]
    directory = RunDirectory.open(Path(path).expanduser())
    return SavedRun(directory.path, measured_run(directory, list(overrides)))
