"""Build what a run trains with: network, optimizer, schedule, data and evaluations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from infomcr_cli import runtime
from infomcr_cli.config.devices import divided
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.regularizer import (
    FisherTraceConfig,
    GradientNormConfig,
    LocalMinimumConfig,
    NoRegularizer,
    RegConfig,
    SamConfig,
)
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
from infomcr_cli.experiment.network import build_network
from infomcr_cli.models.custom_checks import normal_samples
from infomcr_cli.models.score import Score, make_scorer
from infomcr_cli.models.user_code import user_code
from infomcr_cli.training.loop import Position, TrainingInputs
from infomcr_cli.training.model_losses import check_means
from infomcr_cli.training.optimizers import make_optimizer
from infomcr_cli.training.patience import Patience
from infomcr_cli.training.regularizers.base import Regularizer
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.local_minimum import LocalMinimum
from infomcr_cli.training.regularizers.sam import SAM
from infomcr_cli.training.schedule import Schedule, learning_rate
from infomcr_cli.training.state import TrainingState
from infomcr_cli.training.stop_at_loss import BoundedScore, LossTarget

SAMPLES = 16  # images by which a user's network is tried


@dataclass(frozen=True)
class Setup:
    """What the training loop runs on."""

    dataset: Dataset
    state: TrainingState
    schedule: Schedule
    inputs: TrainingInputs


def set_up(config: RunConfig) -> Setup:
    """Load the data and build the network, after `runtime.prepare`.

    Raises:
        InputError: the data is missing, or the devices cannot share the batch.
    """
    strategy, batch_size = runtime.strategy(config.device), config.data.batch_size
    replicas = strategy.num_replicas_in_sync
    divided("data.batch_size", batch_size, replicas)
    dataset = load_dataset(config.data, seed=config.seed)
    phases = getattr(config.reg, "phases", None)
    schedule = Schedule(config.schedule, steps_per_epoch=steps_per_epoch(dataset, config.data), phases=phases)
    with strategy.scope():
        model = build_network(config, dataset)
        rate = learning_rate(schedule, config.optimizer.learning_rate)
        optimizer = make_optimizer(config.optimizer, rate, model.trainable_variables)
    _check_added_losses(config, dataset, model, replicas)
    regularizer = make_regularizer(config.reg, replicas=replicas, batch_size=batch_size)
    state = TrainingState(
        model,
        optimizer,
        regularizer,
        strategy,
        label_smoothing=config.optimizer.label_smoothing,
        overwrite_every=config.optimizer.ema_overwrite_frequency,
    )
    return Setup(dataset, state, schedule, _inputs(config, dataset, state))


def make_regularizer(config: RegConfig, *, replicas: int = 1, batch_size: int | None = None) -> Regularizer | None:
    """Return the regularizer of a configuration; None for `reg=off`.

    Args:
        replicas:   how many devices divide the sub-batches among them.
        batch_size: B, for the advice of the error.

    Raises:
        InputError: the devices cannot share the sub-batches equally.
    """
    if isinstance(config, NoRegularizer):
        return None
    parts = divided("reg.num_sub_batches", config.num_sub_batches, replicas, batch_size)
    match config:
        case LocalMinimumConfig():
            return LocalMinimum(parts, config.alpha, config.beta, config.share_pass)
        case SamConfig():
            return SAM(parts, config.rho)
        case GradientNormConfig():
            return GradientNorm(parts, config.radius, config.alpha)
        case FisherTraceConfig():
            return FisherTrace(parts, config.beta, config.share_pass)


def _check_added_losses(config: RunConfig, dataset: Dataset, model: keras.Model, replicas: int) -> None:
    """Check that losses that layers of a user's network add are means, if parts of a batch are averaged."""
    parts = getattr(config.reg, "num_sub_batches", 1) if getattr(config.reg, "share_pass", True) else 1
    if isinstance(config.model, BuilderConfig) and (parts > 1 or replicas > 1):
        with user_code(f"model.builder={config.model.builder} must return a trainable network"):
            check_means(model, normal_samples(dataset.image_shape, SAMPLES))


def _inputs(config: RunConfig, dataset: Dataset, state: TrainingState) -> TrainingInputs:
    scorer, size = make_scorer(state.model), config.measure.batch_size

    def batches(start: Position) -> Iterable[Any]:
        stream = training_stream(
            dataset,
            config.data,
            config.augment,
            seed=config.seed if config.data.order_seed is None else config.data.order_seed,
            epochs=config.schedule.epochs,
            first_epoch=start.epoch,
            first_step=start.step - start.epoch * steps_per_epoch(dataset, config.data),
        )
        return named_failures(stream, dataset)

    def evaluate(split: Split) -> Score:
        with state.averaged():
            return scorer(evaluation_batches(split, dataset, size))

    train = dataset.train
    clean_train = BoundedScore(
        score=lambda: scorer(evaluation_batches(train, dataset, size)),
        losses=lambda places: scorer.losses(dataset.standardise(train.images[places]), train.labels[places]),
        count=len(train),
    )

    def clean_train_below(ceiling: float) -> Score | None:
        with state.averaged():
            return clean_train.below(ceiling)

    splits = {"validation": dataset.validation, "test": dataset.test}
    evaluations = {name: partial(evaluate, split) for name, split in splits.items() if split is not None}
    loss, epochs = config.schedule.stop_at_train_loss, config.schedule.patience
    target = None if loss is None else LossTarget(loss, clean_train_below)
    patience = None if epochs is None else Patience(epochs)
    size, early = config.data.batch_size, config.measure.early_epochs
    return TrainingInputs(batches, size, evaluations, target, early, patience)
