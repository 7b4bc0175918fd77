"""A validated run → network, optimizer, data and timetable, ready for the loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from infomcr_cli.config.schema import RunConfig
from infomcr_cli.data import Dataset, evaluation_batches, load_dataset, steps_per_epoch, training_stream
from infomcr_cli.models.network import network
from infomcr_cli.models.score import make_scorer
from infomcr_cli.training.local_minimum import LocalMinimum
from infomcr_cli.training.loop import Feed, Position
from infomcr_cli.training.schedule import Timetable, learning_rate
from infomcr_cli.training.step import Regularizer
from infomcr_cli.training.trainee import Trainee


@dataclass(frozen=True)
class Setup:
    """What a loop runs on."""

    dataset: Dataset
    trainee: Trainee
    timetable: Timetable
    feed: Feed


def set_up(config: RunConfig) -> Setup:
    """Load the data and build the network, after `runtime.prepare`."""
    dataset = load_dataset(config.data, seed=config.seed)
    timetable = Timetable(
        config.schedule,
        steps_per_epoch=steps_per_epoch(dataset, config.data),
        phases=getattr(config.reg, "phases", None),
    )
    model = network(config, dataset)
    trainee = Trainee(model, _optimizer(config, timetable), _regularizer(config))
    return Setup(dataset, trainee, timetable, _feed(config, dataset, model))


def _optimizer(config: RunConfig, timetable: Timetable) -> keras.Optimizer:
    return keras.optimizers.SGD(
        learning_rate(timetable, config.optimizer.learning_rate),
        momentum=config.optimizer.momentum,
        nesterov=config.optimizer.nesterov,
    )


def _regularizer(config: RunConfig) -> Regularizer | None:
    reg = config.reg
    return None if reg.name == "off" else LocalMinimum(reg.num_sub_batches, reg.alpha, reg.beta)


def _feed(config: RunConfig, dataset: Dataset, model: keras.Model) -> Feed:
    score, size = make_scorer(model), config.measure.batch_size

    def batches(start: Position) -> Iterable[Any]:
        return training_stream(
            dataset,
            config.data,
            config.augment,
            seed=config.seed,
            epochs=config.schedule.epochs,
            first_epoch=start.epoch,
            first_step=start.step - start.epoch * steps_per_epoch(dataset, config.data),
        )

    test, train = (partial(evaluation_batches, split, dataset, size) for split in (dataset.test, dataset.train))
    return Feed(batches, test=lambda: score(test()), clean_train=lambda: score(train()))
