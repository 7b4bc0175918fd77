"""Compute measures of a network, or of checkpoints of a run, which are recorded in measures.json.

A measure that fails does not end the others.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.imported import ImportedModelConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.measuring import MeasuringProgress
from infomcr_cli.console.screen import say
from infomcr_cli.data import Dataset, evaluation_batches, load_dataset
from infomcr_cli.data.dataset import split_digest
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.run_network import imported_network, weights_before_training
from infomcr_cli.experiment.network import network_settings
from infomcr_cli.measures.base import Measure, check_measures, chosen_measures
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.history import RunHistory
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import forecast, format_duration, within_images, work_shares
from infomcr_cli.models import build_model, named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.models.score import Score, Scorer, make_scorer
from infomcr_cli.runs import Checkpoint, RunDirectory, list_checkpoints, load_checkpoint, read_status
from infomcr_cli.runs.answers import pack_answers
from infomcr_cli.runs.checkpoint import check_data
from infomcr_cli.runs.measures_file import Evaluation, Gap, MeasureRecord, ScoreRecord, record_evaluation

Document = dict[str, Any]
_log = logging.getLogger("infomcr.measures")
LONGEST_REASON = 300  # letters: TensorFlow's messages are long


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network whose weights change from checkpoint to checkpoint, and its data."""

    config: RunConfig
    dataset: Dataset
    model: keras.Model
    score: Scorer

    def context(self, run: RunDirectory, step: int, train_loss: float) -> MeasureContext:
        """Return what the measures of the weights that the network has now read.

        Args:
            run:        whose network it is.
            step:       to which the run had been trained when the weights were saved.
            train_loss: of them, on the whole training set, nats.
        """
        config, dataset = self.config, self.dataset
        return MeasureContext(
            self.model,
            dataset,
            config.measure,
            seed=config.seed,
            initial_weights=lambda: weights_before_training(run, config, dataset),
            train_loss=train_loss,
            history=RunHistory(run, step, config.schedule.stop_at_train_loss),
            devices=runtime.sharing_devices(config.device),
        )


def measure_run(run: RunDirectory, config: RunConfig, checkpoints: Sequence[str], console: Console) -> list[Evaluation]:
    """Measure checkpoints of one run, record them in measures.json and return their evaluations, in order.

    The network computes in float32 whatever precision it was trained in, so that numbers of different runs can be
    compared.

    Args:
        run:         its directory.
        config:      its settings, with those of the measures.
        checkpoints: "last", "best" or names.
        console:     for progress messages.

    Raises:
        InputError: a setting does not fit the data, or a checkpoint belongs to other data.
    """
    runtime.prepare_to_measure(config)
    dataset = load_dataset(config.data, seed=config.seed)
    check_measures(config.measure, len(dataset.train))
    measured = measured_network(run, config, dataset)
    evaluations = []
    for name in checkpoints:
        checkpoint = load_checkpoint(run, name)
        check_data(checkpoint, measured.dataset.fingerprint)
        assign_all(named_weights(measured.model), checkpoint.weights)
        say(console, f"{run.name} {name}: step {checkpoint.step}")
        (train, _), (test, correct) = (
            measured.score.with_hits(evaluation_batches(split, measured.dataset, config.measure.batch_size))
            for split in (measured.dataset.train, measured.dataset.test)
        )
        values = evaluate_measures(measured.context(run, checkpoint.step, train.loss), console)
        records = {measure: MeasureRecord(**value.to_dict()) for measure, value in values.items()}
        evaluation = _evaluation(run, checkpoint, measured.dataset, (train, test), correct, records)
        is_last = name != "best" and checkpoint.step == list_checkpoints(run)[-1].step
        for key in {name, "last"} if is_last else {name}:  # the last one is recorded under its name and as "last"
            record_evaluation(run, key, evaluation)
        evaluations.append(evaluation.model_copy(update={"checkpoint": name}))
    return evaluations


def _evaluation(
    run: RunDirectory,
    checkpoint: Checkpoint,
    dataset: Dataset,
    scores: tuple[Score, Score],
    correct: NDArray[np.bool_],
    records: dict[str, MeasureRecord],
) -> Evaluation:
    """Return what measures.json keeps of a checkpoint.

    Args:
        scores:  on the training and on the test set.
        correct: whether each test image is classified correctly, [n].
        records: of the measures.
    """
    train, test = scores
    return Evaluation(
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        reached_target=read_status(run).reached_target,
        train=ScoreRecord(loss=_finite(train.loss), accuracy=train.accuracy),
        test=ScoreRecord(loss=_finite(test.loss), accuracy=test.accuracy),
        gap=Gap(error=train.accuracy - test.accuracy, loss=_finite(test.loss - train.loss)),
        n_train=len(dataset.train),
        n_test=len(dataset.test),
        test_answers=pack_answers(split_digest(dataset.test), correct),
        measures=records,
    )


def _finite(loss: float) -> float | None:
    """Return a loss, or None if it is infinite, as that of a network whose logits overflow: JSON has no infinity."""
    return loss if math.isfinite(loss) else None


_latest: list[tuple[Document, keras.Model, Scorer]] = []  # settings, network, its compiled score


def measured_network(run: RunDirectory, config: RunConfig, dataset: Dataset) -> MeasuredNetwork:
    """Return the network of a run; the latest one is kept, since the runs of a study share what is compiled for it."""
    imported = config.model if isinstance(config.model, ImportedModelConfig) else None
    # Everything that determines the network.
    settings = network_settings(config, dataset) if imported is None else imported.model_dump()
    if not _latest or _latest[0][0] != settings:
        model = build_model(**settings) if imported is None else imported_network(run, imported)
        _latest[:] = [(settings, model, make_scorer(model))]
    _, model, score = _latest[0]
    return MeasuredNetwork(config, fitted(dataset, model), model, score)


def evaluate_measures(ctx: MeasureContext, console: Console | None = None) -> dict[str, MeasureValue]:
    """Return the value of each measure that the names in the context's settings choose, with its convention.

    If a measure is not available its value is None, and `extras` give the `reason`; the others are computed.

    Args:
        ctx:     the network, which is left untouched, its data, and the settings of the measures.
        console: shows which measure is computed, how much is done, and the expected duration if all are; None: nothing.

    Raises:
        InputError: a name is unknown; nothing has been measured then.
    """
    measures, images = chosen_measures(ctx.config.names), len(ctx.dataset.train)
    order = "stored" if ctx.dataset.stored_order else "stratified"
    weights, done = work_shares(measures, within_images(ctx.config, images)), 0.0
    values: dict[str, MeasureValue] = {}
    logged: list[Exception] = []
    with MeasuringProgress(console).shown() if console else nullcontext() as progress:
        if progress:
            ctx = replace(ctx, on_part=progress.part)
        if console and ctx.config.names == "all":
            say(console, f"{len(measures)} measures{_expected_duration(measures, ctx)}")
        for number, (measure, weight) in enumerate(zip(measures, weights, strict=True), start=1):
            if progress:
                progress.measure(number, len(measures), measure.name, done, weight)
            done += weight
            try:
                found = measure.compute(ctx)
            except Exception as error:
                found = _unavailable(measure, error, logged)
            values[measure.name] = measure.complete(found, measure.convention(ctx.config, images, order))
    return values


def _unavailable(measure: Measure, error: Exception, logged: list[Exception]) -> MeasureValue:
    """Return the value of a measure that failed, with its reason; a failure is logged unless it is among `logged`."""
    if isinstance(error, InputError):  # the measure does not suit this network or these images
        return MeasureValue(None, extras={"reason": str(error)})
    if not any(error is before for before in logged):  # measures that share a failure share its line
        logged.append(error)
        where = traceback.extract_tb(error.__traceback__)[-1]  # it may be a fault of this program
        _log.warning("%s is not available: %s (%s:%s)", measure.name, _in_one_line(error), where.filename, where.lineno)
        _log.debug("%s", measure.name, exc_info=error)
    return MeasureValue(None, extras={"reason": _in_one_line(error), "error": _kind(error)})


def _expected_duration(measures: Iterable[Measure], ctx: MeasureContext) -> str:
    """Return the words for the expected duration; none if the forward pass that would show it fails."""
    try:
        seconds = forecast(measures, ctx)
    except Exception:  # the measures that need this pass fail too, and say why
        return ""
    return f", about {format_duration(seconds)}"


def _in_one_line(error: Exception) -> str:
    message = " ".join(str(error).split())[:LONGEST_REASON]
    return f"{_kind(error)}: {message}" if message else _kind(error)


def _kind(error: Exception) -> str:
    return type(error).__name__.lstrip("_")
