"""One process's imports: files, one after the other, measured on the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.data import Dataset, Split, evaluation_batches
from infomcr_cli.data.scaling import scaled
from infomcr_cli.data.sources import load_unscaled
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.imported_run import ImportedNetwork, document, lines, write_run
from infomcr_cli.exchange.scaling_hint import better_scaling
from infomcr_cli.exchange.softmax import check_logits
from infomcr_cli.exchange.sources import Source
from infomcr_cli.exchange.trained_network import trained_network
from infomcr_cli.models.score import Score, Scorer, make_scorer
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.redaction import redact

LOOKED_AT = 64  # samples that tell logits from probabilities


class Importer:
    """Makes runs of files.

    Args: config: of every run, but for what each file says itself.
    """

    def __init__(self, config: RunConfig, overrides: Sequence[str], console: Console) -> None:
        runtime.prepare(config.model_copy(update={"precision": "float32"}))
        self._config, self._console = config, console
        self._overrides = [redact(override) for override in overrides]
        self._unscaled = load_unscaled(config.data, seed=config.seed)
        self._dataset = scaled(self._unscaled, config.data.scaling)

    def make_run(self, source: Source, run_dir: Path | None = None) -> tuple[RunDirectory, dict[str, Any]]:
        """Make a FINISHED run of one file and return it with its entry of the JSON document.

        Raises: InputError: the network cannot be read, or does not fit the data; nothing was made.
        """
        imported = self._measured(source)
        run = write_run(imported, self._config, self._overrides, run_dir)
        for line in lines(imported, run, self._config):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        return run, document(imported, run, self._config)

    def _measured(self, source: Source) -> ImportedNetwork:
        network = trained_network(source, self._config, self._dataset)
        dataset = fitted(self._dataset, network.model)
        first = dataset.standardise(dataset.train.images[:LOOKED_AT])
        check_logits(keras.ops.convert_to_numpy(network.model(first, training=False)))
        scorer = make_scorer(network.model)
        train, test = (self._score(scorer, dataset, split) for split in (dataset.train, dataset.test))
        hint = better_scaling(network.model, self._unscaled, self._config.data.scaling)
        return ImportedNetwork(source, network, train, test, dataset.fingerprint, hint)

    def _score(self, scorer: Scorer, dataset: Dataset, split: Split) -> Score:
        score = scorer(evaluation_batches(split, dataset, self._config.measure.batch_size))
        if not score.is_finite:
            raise InputError("a network must give finite losses", received=f"{score.loss} on {len(split)} samples")
        return score
