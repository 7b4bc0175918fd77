"""One process's imports: a file's network, its scores on the data, and the run directory that it becomes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.compose import validate
from infomcr_cli.config.identity import identity
from infomcr_cli.config.imported_schema import without_stand_ins
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.config.text import as_yaml
from infomcr_cli.data import Dataset, Split, evaluation_batches
from infomcr_cli.data.scaling import scaled
from infomcr_cli.data.sources import load_unscaled
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import fitted, input_structure
from infomcr_cli.exchange.imported import INITIAL, MODEL, TRAINED
from infomcr_cli.exchange.keras_file import read_keras_file
from infomcr_cli.exchange.scaling_hint import better_scaling
from infomcr_cli.exchange.softmax import check_logits
from infomcr_cli.exchange.sources import Source
from infomcr_cli.exchange.weights_file import digest_of, load_weights_file, weights_by_name
from infomcr_cli.models.network import network
from infomcr_cli.models.score import Score, Scorer, make_scorer
from infomcr_cli.runs import (
    Checkpoint,
    MetricsLog,
    RunDirectory,
    State,
    describe_environment,
    finished,
    hold,
    new_status,
    read_status,
    save_checkpoint,
    write_environment,
    write_status,
)
from infomcr_cli.runs.arrays import Array
from infomcr_cli.runs.documents import printable
from infomcr_cli.runs.redaction import redact

LOOKED_AT = 64  # samples on which a network is tried before all of them are scored
STEP = 1  # of the trained weights, whatever their training counted; those before training have 0
Document = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A network out of a file, with its trained weights.

    Args:
        architecture: its layers as JSON; None: it is built from the settings of the run.
        softmax_of:   the layer whose softmax was taken away.
        initial:      the weights before training; None: not known.
    """

    model: keras.Model
    architecture: bytes | None = None
    softmax_of: str | None = None
    initial: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class Scores:
    """How well a network does on the two splits."""

    train: Score
    test: Score


class Importer:
    """Makes runs of files, all with the same data.

    Args: config: of every run, but for what each file says itself.
    """

    def __init__(self, config: RunConfig, overrides: Sequence[str], console: Console) -> None:
        runtime.prepare(config.model_copy(update={"precision": "float32"}))
        self._config, self._console = config, console
        self._overrides = [redact(override) for override in overrides]
        self._unscaled = load_unscaled(config.data, seed=config.seed)
        self._dataset = scaled(self._unscaled, config.data.scaling)

    def make_run(self, source: Source, run_dir: Path | None = None) -> tuple[RunDirectory, Document]:
        """Make a FINISHED run of one file and return it with its entry of the JSON document.

        Raises: InputError: the network cannot be read, or does not fit the data; nothing was made.
        """
        network = self._network(source)
        dataset = fitted(self._dataset, network.model)
        first = dataset.train.images[:LOOKED_AT]
        check_logits(keras.ops.convert_to_numpy(network.model(dataset.standardise(first), training=False)))
        scorer = make_scorer(network.model)
        scores = Scores(*(self._score(scorer, dataset, split) for split in (dataset.train, dataset.test)))
        weights = weights_by_name(network.model)
        config = _config_of_run(self._config, source, network, weights)
        run = self._write(config, run_dir, source, network, weights, dataset, scores)
        hint = better_scaling(network.model, self._unscaled, config.data.scaling)
        self._announce(run, source, network, scores, hint)
        return run, _document(run, config, source, network, scores, hint)

    def _network(self, source: Source) -> Network:
        if source.is_keras:
            return _of_keras_file(source)
        model = network(self._config, self._dataset)
        initial = None
        if source.initial is not None:
            load_weights_file(model, source.initial)
            initial = weights_by_name(model)
        load_weights_file(model, source.file)
        return Network(model, initial=initial)

    def _score(self, scorer: Scorer, dataset: Dataset, split: Split) -> Score:
        score = scorer(evaluation_batches(split, dataset, self._config.measure.batch_size))
        if not score.is_finite:
            raise InputError("a network must give finite losses", received=f"{score.loss} on {len(split)} samples")
        return score

    def _write(
        self,
        config: RunConfig,
        run_dir: Path | None,
        source: Source,
        network: Network,
        weights: Mapping[str, Array],
        dataset: Dataset,
        scores: Scores,
    ) -> RunDirectory:
        run = self._new_directory(config, run_dir, source.run_name)
        with _whole_or_gone(run), hold(run):
            if network.architecture is not None:
                run.write(MODEL, network.architecture)
            write_environment(run, describe_environment(runtime.devices()))
            extra = {"data": dataset.fingerprint}
            if network.initial is not None:
                save_checkpoint(run, INITIAL, Checkpoint(0, 0, network.initial, extra=extra))
            MetricsLog(run).append(STEP, 0, _values(scores), {})
            save_checkpoint(run, TRAINED, Checkpoint(STEP, 0, weights, extra=extra, train_loss=scores.train.loss))
            status = read_status(run).model_copy(update={"step": STEP})
            write_status(run, finished(status, State.FINISHED))
        return run

    def _new_directory(self, config: RunConfig, run_dir: Path | None, name: str) -> RunDirectory:
        text, status = as_yaml(config), new_status(identity(config))
        if run_dir is not None:
            return RunDirectory.create(run_dir, config=text, overrides=self._overrides, status=status)
        return RunDirectory.create_new(config.runs_dir, name, config=text, overrides=self._overrides, status=status)

    def _announce(self, run: RunDirectory, source: Source, network: Network, scores: Scores, hint: str | None) -> None:
        cut = f"the softmax of {network.softmax_of} is left out, " if network.softmax_of else ""
        lines = [
            f"{source.file.name} → {run.path}",
            f"  {_trainable(network.model):,} trainable weights, {cut}data.scaling={self._config.data.scaling}",
            f"  training loss {scores.train.loss:.4f} accuracy {scores.train.accuracy:.2%}, "
            f"test loss {scores.test.loss:.4f} accuracy {scores.test.accuracy:.2%}",
            *([f"  {hint}"] if hint else []),
        ]
        for line in lines:
            self._console.print(printable(line, 2000), markup=False, highlight=False, soft_wrap=True)


def _of_keras_file(source: Source) -> Network:
    read = read_keras_file(source.file)
    _check_same(read.original, read.model, read.softmax_of)
    if source.initial is None:
        return Network(read.model, read.architecture, read.softmax_of)
    if source.initial.name.endswith(".keras"):
        before = read_keras_file(source.initial).model
    else:
        before = read_keras_file(source.file, source.initial).model
    initial, trained = weights_by_name(before), weights_by_name(read.model)
    if {name: array.shape for name, array in initial.items()} != {name: array.shape for name, array in trained.items()}:
        raise InputError("--initial must hold weights of the same network", received=str(source.initial))
    return Network(read.model, read.architecture, read.softmax_of, initial)


def _check_same(original: keras.Model, model: keras.Model, softmax_of: str | None) -> None:
    """Raise InputError where the network that was built again is not the one of the file."""
    generator = np.random.default_rng(0)

    def sample(tensor: Any) -> Any:
        shape = [2, *(8 if length is None else length for length in tensor.shape[1:])]
        return generator.integers(0, 2, shape).astype(tensor.dtype)

    inputs = keras.tree.map_structure(sample, input_structure(original))
    single = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else inputs
    expected, found = original(inputs, training=False), model(single, training=False)
    expected = expected[0] if isinstance(expected, list) else expected
    if softmax_of is not None:
        logarithmic = bool((np.asarray(expected) < 0).any())
        found = (keras.ops.log_softmax if logarithmic else keras.ops.softmax)(found)
    if not np.allclose(np.asarray(expected), np.asarray(found), rtol=1e-3, atol=1e-4):
        raise InputError("a network must be the same when it is built again from its layers", received=original.name)


def _config_of_run(config: RunConfig, source: Source, network: Network, weights: Mapping[str, Array]) -> RunConfig:
    settings = config.model_dump(mode="json")
    settings["imported"] = {
        "file": printable(source.file.name, 900),
        "weights": digest_of(weights),
        "initial": None if network.initial is None else digest_of(network.initial),
        "settings": dict(source.settings),
    }
    if network.architecture is not None:
        digest = hashlib.sha256(network.architecture).hexdigest()
        settings |= {"model": {"name": "imported", "architecture": digest}}
        settings["choices"]["model"] = "imported"
    return validate(without_stand_ins(settings))


@contextmanager
def _whole_or_gone(run: RunDirectory) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise


def _trainable(model: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def _values(scores: Scores) -> dict[str, float]:
    return {
        "train/loss": scores.train.loss,
        "train/accuracy": scores.train.accuracy,
        "test/loss": scores.test.loss,
        "test/accuracy": scores.test.accuracy,
    }


def _document(
    run: RunDirectory, config: RunConfig, source: Source, network: Network, scores: Scores, hint: str | None
) -> Document:
    train, test = scores.train, scores.test
    return {
        "run": str(run.path),
        "weights": _trainable(network.model),
        "file": printable(str(source.file), 4096),
        "state": str(read_status(run).state),
        "checkpoint": TRAINED,
        "initial": None if network.initial is None else INITIAL,
        "scaling": config.data.scaling,
        "softmax_of": network.softmax_of,
        "settings": dict(source.settings),
        "train": {"loss": train.loss, "accuracy": train.accuracy},
        "test": {"loss": test.loss, "accuracy": test.accuracy},
        "gap": {"error": train.accuracy - test.accuracy, "loss": test.loss - train.loss},
        "hint": hint,
    }
