"""Measure checkpoints of one run and record each evaluation in measures.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.measuring import MeasuringProgress
from infomcr_cli.console.screen import say
from infomcr_cli.data import Dataset, evaluation_batches, load_dataset
from infomcr_cli.data.dataset import split_digest
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.run_network import network_of_run, network_settings_of_run, weights_before_training
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.history import RunHistory
from infomcr_cli.measures.settings import check_measures
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.models.score import Scorer, make_scorer
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint, read_status
from infomcr_cli.runs.answers import pack_answers
from infomcr_cli.runs.checkpoint import check_data
from infomcr_cli.runs.measures_file import Evaluation, Gap, MeasureRecord, record_evaluation
from infomcr_cli.runs.measures_file import Score as ScoreRecord

Document = dict[str, Any]


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
        train=ScoreRecord(loss=train.loss, accuracy=train.accuracy),
        test=ScoreRecord(loss=test.loss, accuracy=test.accuracy),
        gap=Gap(error=train.accuracy - test.accuracy, loss=test.loss - train.loss),
        n_train=len(dataset.train),
        n_test=len(dataset.test),
        test_answers=pack_answers(split_digest(dataset.test), correct),
        measures={measure: MeasureRecord(**value.to_dict()) for measure, value in values.items()},
    )
    is_last = name != "best" and checkpoint.step == list_checkpoints(run)[-1].step
    for key in {name, "last"} if is_last else {name}:  # the last checkpoint is recorded under its name and as "last"
        record_evaluation(run, key, evaluation)
    return {"run": str(run.path), "checkpoint": name, **evaluation.to_dict()}


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
