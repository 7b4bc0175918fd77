"""Compute measures of a network, or of checkpoints of a run, which are recorded in measures.json.

A measure that fails does not end the others.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.measuring import MeasuringProgress
from infomcr_cli.console.screen import say
from infomcr_cli.data import Dataset, evaluation_batches, load_dataset
from infomcr_cli.data.dataset import split_digest
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.run_network import network_of_run, network_settings_of_run, weights_before_training
from infomcr_cli.measures.base import Measure, check_measures, chosen_measures
from infomcr_cli.measures.context import InitialWeights, MeasureContext
from infomcr_cli.measures.history import RunHistory
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import forecast, format_duration, within_images, work_shares
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.models.score import Scorer, make_scorer
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint, read_status
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


def measure_run(run: RunDirectory, config: RunConfig, checkpoints: Sequence[str], console: Console) -> list[Document]:
    """Measure checkpoints of one run, record them in measures.json and return their JSON documents, in order.

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
    runtime.prepare(config.model_copy(update={"precision": "float32"}))
    dataset = load_dataset(config.data, seed=config.seed)
    check_measures(config.measure, len(dataset.train))
    measured = measured_network(run, config, dataset)
    return [_measure_checkpoint(run, measured, name, console) for name in checkpoints]


_latest: list[tuple[Document, keras.Model, Scorer]] = []  # settings, network, its compiled score


def measured_network(run: RunDirectory, config: RunConfig, dataset: Dataset) -> MeasuredNetwork:
    """Return the network of a run; the latest one is kept, since the runs of a study share what is compiled for it."""
    settings = network_settings_of_run(config, dataset)
    if not _latest or _latest[0][0] != settings:
        model = network_of_run(run, config, dataset)
        _latest[:] = [(settings, model, make_scorer(model))]
    _, model, score = _latest[0]
    return MeasuredNetwork(config, fitted(dataset, model), model, score)


def _measure_checkpoint(run: RunDirectory, measured: MeasuredNetwork, name: str, console: Console) -> Document:
    config, dataset, model = measured.config, measured.dataset, measured.model
    checkpoint = load_checkpoint(run, name)
    check_data(checkpoint, dataset.fingerprint)
    assign_all(named_weights(model), checkpoint.weights)
    say(console, f"{run.name} {name}: step {checkpoint.step}")
    (train, _), (test, correct) = (
        measured.score.with_hits(evaluation_batches(split, dataset, config.measure.batch_size))
        for split in (dataset.train, dataset.test)
    )
    values = measure_weights(run, measured, checkpoint.step, train.loss, console)
    evaluation = Evaluation(
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        reached_target=read_status(run).reached_target,
        train=ScoreRecord(loss=_finite(train.loss), accuracy=train.accuracy),
        test=ScoreRecord(loss=_finite(test.loss), accuracy=test.accuracy),
        gap=Gap(error=train.accuracy - test.accuracy, loss=_finite(test.loss - train.loss)),
        n_train=len(dataset.train),
        n_test=len(dataset.test),
        test_answers=pack_answers(split_digest(dataset.test), correct),
        measures={measure: MeasureRecord(**value.to_dict()) for measure, value in values.items()},
    )
    is_last = name != "best" and checkpoint.step == list_checkpoints(run)[-1].step
    for key in {name, "last"} if is_last else {name}:  # the last checkpoint is recorded under its name and as "last"
        record_evaluation(run, key, evaluation)
    return {"run": str(run.path), "checkpoint": name, **evaluation.to_dict()}


def _finite(loss: float) -> float | None:
    """JSON has no infinite loss, as that of a network whose logits overflow."""
    return loss if math.isfinite(loss) else None


def measure_weights(
    run: RunDirectory, measured: MeasuredNetwork, step: int, train_loss: float, console: Console
) -> dict[str, MeasureValue]:
    """Return the measures of the weights that a run's network has now.

    Args:
        step:       to which the run had been trained when they were saved.
        train_loss: of them, on the whole training set, nats.
    """
    config, dataset = measured.config, measured.dataset
    with MeasuringProgress(console).shown() as progress:
        return evaluate_measures(
            measured.model,
            dataset,
            config.measure,
            seed=config.seed,
            initial_weights=lambda: weights_before_training(run, config, dataset),
            train_loss=train_loss,
            history=RunHistory(run, step, config.schedule.stop_at_train_loss),
            devices=runtime.sharing_devices(config.device),
            announce=lambda text: say(console, text),
            progress=progress,
        )


def evaluate_measures(
    model: keras.Model,
    dataset: Dataset,
    config: MeasureConfig,
    seed: int = 0,
    *,
    initial_weights: InitialWeights = lambda: None,
    train_loss: float | None = None,
    history: RunHistory | None = None,
    devices: Sequence[str] = (),
    announce: Callable[[str], None] | None = None,
    progress: EvaluationProgress | None = None,
) -> dict[str, MeasureValue]:
    """Return the value of each measure that `config.names` chooses, with its convention.

    If a measure is not available its value is None, and `extras` give the `reason`; the others are computed.

    Args:
        model:           gives logits for standardised images; it is left untouched.
        dataset:         its training images are measured on.
        config:          names of measures or a suite, and their settings.
        seed:            of random choices.
        initial_weights: returns the weights before training by name, or None; called only if a measure needs them.
        train_loss:      mean cross-entropy on the whole training set, nats, if already known.
        history:         what the training of the run recorded; None for a network without a run.
        devices:         that share the draws of gamma; none: the one that TensorFlow chooses.
        announce:        called first with the expected duration, if everything is measured.
        progress:        receives which measure is next, and which parts of it are done.

    Raises:
        InputError: a name is unknown, or a setting does not fit the data; nothing has been measured then.
    """
    check_measures(config, len(dataset.train))
    measures = chosen_measures(config.names)
    ctx = MeasureContext(model, dataset, config, seed, initial_weights, train_loss, history, devices)
    if progress:
        ctx = replace(ctx, on_part=progress.part)
    if announce and config.names == "all":
        announce(f"{len(measures)} measures{_expected_duration(measures, ctx)}")
    return measured_values(measures, ctx, progress)


class EvaluationProgress(Protocol):
    """What an evaluation calls as it goes on."""

    def measure(self, number: int, count: int, name: str, done: float, weight: float) -> None:
        """The measure of that number, counted from 1, is next; shares of the work are done, and are its own."""

    def part(self, done: int, total: int, what: str) -> None:
        """Parts of the measure are done."""


def measured_values(
    measures: Sequence[Measure], ctx: MeasureContext, progress: EvaluationProgress | None = None
) -> dict[str, MeasureValue]:
    """Return the value of each measure with its convention; None and the `reason` if it is not available."""
    images, order = len(ctx.dataset.train), "stored" if ctx.dataset.stored_order else "stratified"
    logged: list[Exception] = []
    values: dict[str, MeasureValue] = {}
    weights, done = work_shares(measures, within_images(ctx.config, images)), 0.0
    for number, (measure, weight) in enumerate(zip(measures, weights, strict=True), start=1):
        if progress:
            progress.measure(number, len(measures), measure.name, done, weight)
        done += weight
        try:
            found = measure.compute(ctx)
        except InputError as error:  # the measure does not suit this network or these images
            found = MeasureValue(None, extras={"reason": str(error)})
        except Exception as error:
            if not any(error is before for before in logged):  # measures that share a failure share its line
                logged.append(error)
                _log_failure(measure, error)
            found = MeasureValue(None, extras={"reason": _in_one_line(error), "error": _kind(error)})
        values[measure.name] = measure.complete(found, measure.convention(ctx.config, images, order))
    return values


def _expected_duration(measures: Iterable[Measure], ctx: MeasureContext) -> str:
    """Return the words for the expected duration; none if the forward pass that would show it fails."""
    try:
        seconds = forecast(measures, ctx)
    except Exception:  # the measures that need this pass fail too, and say why
        return ""
    return f", about {format_duration(seconds)}"


def _log_failure(measure: Measure, error: Exception) -> None:
    """Log what went wrong and where: it may be a fault of this program."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    _log.warning("%s is not available: %s (%s:%s)", measure.name, _in_one_line(error), where.filename, where.lineno)
    _log.debug("%s", measure.name, exc_info=error)


def _in_one_line(error: Exception) -> str:
    message = " ".join(str(error).split())[:LONGEST_REASON]
    return f"{_kind(error)}: {message}" if message else _kind(error)


def _kind(error: Exception) -> str:
    return type(error).__name__.lstrip("_")
