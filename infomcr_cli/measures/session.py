"""One process's measurement of a run: each checkpoint into measures.json, its spectrum into a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.data import Dataset, Split, evaluation_batches, load_dataset
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.imported import network_of_run, weights_before_training
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.registry import MeasureValue
from infomcr_cli.models import named_weights
from infomcr_cli.models.assign import assign_all
from infomcr_cli.models.score import Score, Scorer, make_scorer
from infomcr_cli.report.spectrum import save_spectrum
from infomcr_cli.runs import Checkpoint, RunDirectory, list_checkpoints, load_checkpoint, read_status
from infomcr_cli.runs.checkpoint import check_data
from infomcr_cli.runs.measures import record_measures

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

    Args: checkpoints: "last", "best" or names.
    """
    subject = _subject(run, config)
    return [_measure(run, subject, name, console) for name in checkpoints]


def _subject(run: RunDirectory, config: RunConfig) -> Subject:
    runtime.prepare(config.model_copy(update={"precision": "float32"}))
    dataset = load_dataset(config.data, seed=config.seed)
    model = network_of_run(run, config, dataset)
    return Subject(config, fitted(dataset, model), model, make_scorer(model))


def _measure(run: RunDirectory, subject: Subject, name: str, console: Console) -> Document:
    checkpoint = load_checkpoint(run, name)
    check_data(checkpoint, subject.dataset.fingerprint)
    assign_all(named_weights(subject.model), checkpoint.weights)
    console.print(f"{run.name} {name}: step {checkpoint.step}", markup=False, highlight=False, soft_wrap=True)
    train, test = _scored(subject, subject.dataset.train), _scored(subject, subject.dataset.test)
    values = _values(run, subject, train.loss, console)
    measures = {measure: value.document() for measure, value in values.items()}
    evaluation = {
        **_place(run, checkpoint),
        "train": _document(train),
        "test": _document(test),
        "gap": {"error": train.accuracy - test.accuracy, "loss": test.loss - train.loss},
        "n_train": len(subject.dataset.train),
        "n_test": len(subject.dataset.test),
        "measures": measures,
    }
    for kept in {name, _alias(run, checkpoint, name)}:
        record_measures(run, kept, evaluation)
    save_spectrum(measures, run.plots, name)
    return {"run": str(run.path), "checkpoint": name, **{k: v for k, v in evaluation.items() if k != "checkpoint"}}


def _alias(run: RunDirectory, checkpoint: Checkpoint, name: str) -> str:
    """The last checkpoint is known as "last" too, by whatever name it was asked for."""
    return "last" if name != "best" and checkpoint.step == list_checkpoints(run)[-1].step else name


def _values(run: RunDirectory, subject: Subject, train_loss: float, console: Console) -> dict[str, MeasureValue]:
    config, dataset = subject.config, subject.dataset
    return evaluate_measures(
        subject.model,
        dataset,
        config.measure,
        seed=config.seed,
        beginning=lambda: weights_before_training(run, config, dataset),
        train_loss=train_loss,
        announce=lambda text: console.print(text, markup=False, highlight=False),
    )


def _scored(subject: Subject, split: Split) -> Score:
    return subject.score(evaluation_batches(split, subject.dataset, subject.config.measure.batch_size))


def _document(score: Score) -> Mapping[str, float]:
    return {"loss": score.loss, "accuracy": score.accuracy}


def _place(run: RunDirectory, checkpoint: Checkpoint) -> Document:
    reached = read_status(run).reached_target
    return {"step": checkpoint.step, "epoch": checkpoint.epoch, "reached_target": reached}
