"""A validated run → network, optimizer, data and timetable, ready for the loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli import runtime
from infomcr_cli.config.devices import divided
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import (
    Dataset,
    Split,
    evaluation_batches,
    load_dataset,
    named_failures,
    steps_per_epoch,
    training_stream,
)
from infomcr_cli.experiment.network import network
from infomcr_cli.models.custom_checks import normal_samples
from infomcr_cli.models.score import Score, make_scorer
from infomcr_cli.models.user_code import user_code
from infomcr_cli.training.loop import Position, TrainingInputs
from infomcr_cli.training.model_losses import check_means
from infomcr_cli.training.regularizers.factory import make_regularizer
from infomcr_cli.training.schedule import Schedule, learning_rate
from infomcr_cli.training.state import TrainingState
from infomcr_cli.training.stop_at_loss import Target

SAMPLES = 16  # images by which a user's network is tried


@dataclass(frozen=True)
class Setup:
    """What a loop runs on."""

    dataset: Dataset
    trainee: TrainingState
    timetable: Schedule
    feed: TrainingInputs


def set_up(config: RunConfig) -> Setup:
    """Load the data and build the network, after `runtime.prepare`.

    Raises:
        InputError: the data is not there, or the devices cannot share the batch.
    """
    strategy = runtime.strategy(config.device)
    divided("data.batch_size", config.data.batch_size, strategy.num_replicas_in_sync)
    dataset = load_dataset(config.data, seed=config.seed)
    timetable = Schedule(
        config.schedule,
        steps_per_epoch=steps_per_epoch(dataset, config.data),
        phases=getattr(config.reg, "phases", None),
    )
    with strategy.scope():
        model, optimizer = network(config, dataset), _optimizer(config, timetable)
    _check_own_losses(config, dataset, model, strategy)
    replicas, batch = strategy.num_replicas_in_sync, config.data.batch_size
    regularizer = make_regularizer(config.reg, replicas=replicas, batch_size=batch)
    trainee = TrainingState(model, optimizer, regularizer, strategy)
    return Setup(dataset, trainee, timetable, _feed(config, dataset, model))


def _check_own_losses(
    config: RunConfig, dataset: Dataset, model: keras.Model, strategy: tf.distribute.Strategy
) -> None:
    """Losses that layers of a user's own add are averaged where a batch is shared, and must be means."""
    parts = getattr(config.reg, "num_sub_batches", 1) if getattr(config.reg, "share_pass", True) else 1
    if isinstance(config.model, BuilderConfig) and (parts > 1 or strategy.num_replicas_in_sync > 1):
        with user_code(f"model.builder={config.model.builder} must return a network that can be trained"):
            check_means(model, normal_samples(dataset.image_shape, SAMPLES))


def _optimizer(config: RunConfig, timetable: Schedule) -> keras.Optimizer:
    return keras.optimizers.SGD(
        learning_rate(timetable, config.optimizer.learning_rate),
        momentum=config.optimizer.momentum,
        nesterov=config.optimizer.nesterov,
    )


def _feed(config: RunConfig, dataset: Dataset, model: keras.Model) -> TrainingInputs:
    scorer, size = make_scorer(model), config.measure.batch_size

    def batches(start: Position) -> Iterable[Any]:
        stream = training_stream(
            dataset,
            config.data,
            config.augment,
            seed=config.seed,
            epochs=config.schedule.epochs,
            first_epoch=start.epoch,
            first_step=start.step - start.epoch * steps_per_epoch(dataset, config.data),
        )
        return named_failures(stream, dataset)

    def look_at(split: Split) -> Score:
        return scorer(evaluation_batches(split, dataset, size))

    def clean_train(ceiling: float) -> Score | None:
        return scorer.below(ceiling, evaluation_batches(dataset.train, dataset, size), len(dataset.train))

    splits = {"validation": dataset.validation, "test": dataset.test}
    looks = {name: partial(look_at, split) for name, split in splits.items() if split is not None}
    loss = config.schedule.stop_at_train_loss
    return TrainingInputs(batches, config.data.batch_size, looks, None if loss is None else Target(loss, clean_train))
