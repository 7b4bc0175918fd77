"""One process's measurement of a run: each checkpoint into measures.json, its spectrum into a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset, Split, evaluation_batches, load_dataset
from infomcr_cli.experiment.initial_weights import initial_weights
from infomcr_cli.experiment.network import network, network_settings
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.settings import check_measures
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.models.score import Score, Scorer, make_scorer
from infomcr_cli.runs import Checkpoint, RunDirectory, list_checkpoints, load_checkpoint, read_status
from infomcr_cli.runs.checkpoint import check_data
from infomcr_cli.runs.measures_file import Evaluation, Gap, MeasureRecord, record_evaluation
from infomcr_cli.runs.measures_file import Score as ScoreRecord

Document = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What is measured: a network whose weights change from checkpoint to checkpoint, and its data."""

    config: RunConfig
    dataset: Dataset
    model: keras.Model
    score: Scorer


def measure_run(run: RunDirectory, config: RunConfig, checkpoints: Sequence[str], console: Console) -> list[Document]:
    """Measure checkpoints of one run and return their JSON documents, in order.

    The network computes in float32 whatever it was trained in, so that numbers of different runs agree in kind.

    Args:
        checkpoints: "last", "best" or names.
    """
    subject = _subject(config)
    return [_measure(run, subject, name, console) for name in checkpoints]


def _subject(config: RunConfig) -> Subject:
    runtime.prepare(config.model_copy(update={"precision": "float32"}))
    dataset = load_dataset(config.data, seed=config.seed)
    check_measures(config.measure, len(dataset.train))
    shared = _shared_network(config, dataset)
    return Subject(config, dataset, shared.model, shared.score)


class _SharedNetwork(NamedTuple):
    settings: Document
    model: keras.Model
    score: Scorer


_latest: list[_SharedNetwork] = []


def _shared_network(config: RunConfig, dataset: Dataset) -> _SharedNetwork:
    """Return the network of a run; the latest one is kept, since the runs of a study share what is compiled for it."""
    settings = network_settings(config, dataset)
    if not _latest or _latest[0].settings != settings:
        model = network(config, dataset)
        _latest[:] = [_SharedNetwork(settings, model, make_scorer(model))]
    return _latest[0]


def _measure(run: RunDirectory, subject: Subject, name: str, console: Console) -> Document:
    checkpoint = load_checkpoint(run, name)
    check_data(checkpoint, subject.dataset.fingerprint)
    assign_all(named_weights(subject.model), checkpoint.weights)
    console.print(f"{run.name} {name}: step {checkpoint.step}", markup=False, highlight=False, soft_wrap=True)
    train, test = _scored(subject, subject.dataset.train), _scored(subject, subject.dataset.test)
    values = _values(subject, train.loss, console)
    measures = {measure: value.to_dict() for measure, value in values.items()}
    evaluation = Evaluation(
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        reached_target=read_status(run).reached_target,
        train=_record(train),
        test=_record(test),
        gap=Gap(error=train.accuracy - test.accuracy, loss=test.loss - train.loss),
        n_train=len(subject.dataset.train),
        n_test=len(subject.dataset.test),
        measures={measure: MeasureRecord(**document) for measure, document in measures.items()},
    )
    for kept in {name, _alias(run, checkpoint, name)}:
        record_evaluation(run, kept, evaluation)
    return {"run": str(run.path), "checkpoint": name, **evaluation.to_dict()}


def _alias(run: RunDirectory, checkpoint: Checkpoint, name: str) -> str:
    """The last checkpoint is known as "last" too, by whatever name it was asked for."""
    return "last" if name != "best" and checkpoint.step == list_checkpoints(run)[-1].step else name


def _values(subject: Subject, train_loss: float, console: Console) -> dict[str, MeasureValue]:
    config, dataset = subject.config, subject.dataset
    return evaluate_measures(
        subject.model,
        dataset,
        config.measure,
        seed=config.seed,
        initial_weights=lambda: initial_weights(config, dataset),
        train_loss=train_loss,
        announce=lambda text: console.print(text, markup=False, highlight=False),
    )


def _scored(subject: Subject, split: Split) -> Score:
    return subject.score(evaluation_batches(split, subject.dataset, subject.config.measure.batch_size))


def _record(score: Score) -> ScoreRecord:
    return ScoreRecord(loss=score.loss, accuracy=score.accuracy)
