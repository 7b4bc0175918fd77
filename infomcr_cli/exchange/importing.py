"""Import files as runs, one after the other, evaluated on the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.data import Scaling
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.data import Dataset, Split, evaluation_batches
from infomcr_cli.data.inputs import is_scalable
from infomcr_cli.data.scaling import scaled
from infomcr_cli.data.sources import load_dataset
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.imported_run import ImportedNetwork, document, lines, write_run
from infomcr_cli.exchange.sources import WeightSource
from infomcr_cli.exchange.trained_network import trained_network
from infomcr_cli.models.logits import check_logits
from infomcr_cli.models.score import Score, Scorer, make_scorer
from infomcr_cli.models.user_code import user_code
from infomcr_cli.runs import RunDirectory

FEW = 16  # samples that show whether a network returns logits
HINTED = 500  # samples on which the scales are compared
MARGIN = 0.05  # of accuracy, below which scales count as equal


class Importer:
    """Imports files as runs, all on the same data.

    Args:
        config:    of every run, except for what each file says itself.
        overrides: as given on the command line; secrets are left out.
        console:   for progress messages.
    """

    def __init__(self, config: RunConfig, overrides: Sequence[str], console: Console) -> None:
        runtime.prepare_to_measure(config)
        self._config, self._console = config, console
        self._overrides = overrides
        self._unscaled = load_dataset(config.data, seed=config.seed, is_scaled=False)
        self._dataset = scaled(self._unscaled, config.data.scaling)

    def make_run(self, source: WeightSource, run_dir: Path | None = None) -> tuple[RunDirectory, dict[str, Any]]:
        """Create a FINISHED run from one file and return it with its entry of the JSON document.

        Raises:
            InputError: the network cannot be read, or does not fit the data; nothing was made.
        """
        imported = self._measured(source)
        run = write_run(imported, self._config, self._overrides, run_dir)
        for line in lines(imported, run, self._config):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        return run, document(imported, run, self._config)

    def _measured(self, source: WeightSource) -> ImportedNetwork:
        network = trained_network(source, self._config, self._dataset)
        dataset = fitted(self._dataset, network.model)
        with user_code(f"{printable(source.file.name)} must hold a network that takes the data"):
            check_logits(network.model, dataset.standardise(dataset.train.images[:FEW]))
            scorer = make_scorer(network.model)
            train, test = (self._score(scorer, dataset, split) for split in (dataset.train, dataset.test))
            batch_size = self._config.measure.batch_size
            hint = better_scaling(network.model, self._unscaled, self._config.data.scaling, batch_size)
        return ImportedNetwork(source, network, train, test, dataset.fingerprint, hint)

    def _score(self, scorer: Scorer, dataset: Dataset, split: Split) -> Score:
        score = scorer(evaluation_batches(split, dataset, self._config.measure.batch_size))
        if not score.is_finite:
            raise InputError("the network's losses must be finite", received=f"{score.loss} on {len(split)} samples")
        return score


def better_scaling(model: keras.Model, dataset: Dataset, chosen: Scaling, batch_size: int) -> str | None:
    """Return a sentence if another scaling classifies the first training samples much better, else None.

    Args:
        dataset:    with the mean and deviation of its training images.
        chosen:     the scale that the user chose.
        batch_size: samples that the network gets at once.
    """
    if not is_scalable(dataset.train.images):
        return None
    accuracies = {scaling: _accuracy(model, scaled(dataset, scaling), batch_size) for scaling in get_args(Scaling)}
    best = max(accuracies, key=lambda scaling: accuracies[scaling])
    if accuracies[best] - accuracies[chosen] < MARGIN:
        return None
    return (
        f"With data.scaling={best} the first {min(HINTED, len(dataset.train))} training samples have an accuracy of "
        f"{accuracies[best]:.1%} instead of {accuracies[chosen]:.1%}: is that how the network was trained?"
    )


def _accuracy(model: keras.Model, dataset: Dataset, batch_size: int) -> float:
    data = fitted(dataset, model)
    first = data.train.take(np.arange(min(HINTED, len(data.train))))
    right = 0
    for inputs, labels in evaluation_batches(first, data, batch_size):
        logits = keras.ops.convert_to_numpy(model(inputs, training=False))  # [n, C]
        right += int(np.sum(np.argmax(logits, axis=-1) == labels))
    return right / len(first)
