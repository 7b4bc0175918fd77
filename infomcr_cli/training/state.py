"""The state of training: weights, optimizer, running means of the epoch, and the compiled steps that change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all, numbered_paths
from infomcr_cli.training.average import WeightAverage
from infomcr_cli.training.devices import run_on_replicas, synchronize_batch_norm
from infomcr_cli.training.step import Regularizer, take_step

METERS = ("loss", "l2", "penalty", "accuracy")
Arrays = dict[str, np.ndarray[Any, Any]]
Step = Callable[[Any, Any], None]


@dataclass
class TrainingState:
    """A network in training; `weights`, `optimizer_state` and `restore` carry it across a checkpoint, bit for bit.

    Args:
        model:       gives logits.
        optimizer:   built on the model's trainable variables.
        regularizer: None for plain SGD; on several devices it sees one replica's part of the batch.
        strategy:    the strategy in whose scope model and optimizer were made.
        label_smoothing: share of each label that is spread over all classes in the loss that is minimized.
        overwrite_every: steps after which the weights become their average, if the optimizer keeps one; None: never.
    """

    model: keras.Model
    optimizer: keras.Optimizer
    regularizer: Regularizer | None = None
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    label_smoothing: float = 0.0
    overwrite_every: int | None = None
    average: WeightAverage | None = field(init=False, default=None)
    meters: dict[str, keras.metrics.Mean] = field(init=False)
    failed_at: tf.Variable = field(init=False)

    def __post_init__(self) -> None:
        with self.strategy.scope():
            self.optimizer.build(self.model.trainable_variables)
            synchronize_batch_norm(self.model)
        if self.optimizer.use_ema:
            self.average = WeightAverage(self.optimizer, self.model.trainable_variables, self.overwrite_every)
        self.meters = {name: keras.metrics.Mean(name=name) for name in METERS}
        # The first step whose loss was not finite, -1 if there is none. The loop reads it now and then.
        self.failed_at = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self.plain_step = self._compile(None)
        self.regularized_step = self._compile(self.regularizer)

    def learning_rate(self) -> float:
        """Return the rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def means(self) -> dict[str, float]:
        """Return the means since the epoch began."""
        return {name: float(meter.result()) for name, meter in self.meters.items()}

    def reset_means(self) -> None:
        """Begin an epoch."""
        for meter in self.meters.values():
            meter.reset_state()

    def averaged(self) -> AbstractContextManager[None]:
        """Inside the block, give the network the average of its weights if the optimizer keeps one."""
        return self.average.in_use() if self.average else nullcontext()

    def has_finite_weights(self) -> bool:
        """Return whether all trainable weights are finite numbers."""
        return all(bool(tf.reduce_all(tf.math.is_finite(v.value))) for v in self.model.trainable_variables)

    def weights(self) -> Arrays:
        """Return weights, or their averages if the optimizer keeps them, and moving statistics by path."""
        averages = self.average.by_weight() if self.average else {}
        return {name: averages.get(id(v), v).numpy() for name, v in named_weights(self.model).items()}

    def optimizer_state(self) -> Arrays:
        """Return everything else that the next step depends on.

        Optimizer, running means, random generators, and the weights themselves if `weights` are their averages.
        """
        return {name: variable.numpy() for name, variable in self._state_variables().items()}

    def restore(self, weights: Mapping[str, Any], optimizer_state: Mapping[str, Any]) -> None:
        """Load the arrays of a checkpoint.

        Raises:
            InputError: an array is missing or has another shape.
        """
        assign_all(named_weights(self.model), weights)
        if self.average:
            self.average.restore()
        assign_all(self._state_variables(), optimizer_state)

    def _state_variables(self) -> dict[str, Any]:
        means = {f"mean/{name}/{v.name}": v for name, meter in self.meters.items() for v in meter.variables}
        # Keras numbers the variables of two optimizers of one process differently; their order is the same.
        name, averages = _slot_names(self.model), {id(v) for v in (self.average.averages if self.average else ())}
        slots = [v for v in self.optimizer.variables if id(v) not in averages]
        optimizer = {f"optimizer/{place:04d}/{name(v)}": v for place, v in enumerate(slots)}
        return {**optimizer, **means, **_random_states(self.model), **self._raw_weights()}

    def _raw_weights(self) -> dict[str, Any]:
        """Return the weights that training moves if a checkpoint gives their averages as the weights."""
        if not self.average:
            return {}
        trainable = {id(variable) for variable in self.average.weights}
        return {f"raw/{name}": v for name, v in named_weights(self.model).items() if id(v) in trainable}

    def _compile(self, regularizer: Regularizer | None) -> Step:
        settings: dict[str, Any] = {"regularizer": regularizer, "label_smoothing": self.label_smoothing}

        # Nothing here branches on a tensor, and without autograph the first step is ready a fifth sooner.
        @tf.function(reduce_retracing=True, autograph=False)
        def step(images: tf.Tensor, labels: tf.Tensor) -> None:
            number = tf.cast(self.optimizer.iterations, tf.int64)
            scalars = run_on_replicas(
                self.strategy,
                lambda *part: take_step(self.model, self.optimizer, *part, **settings).scalars(),
                images,
                labels,
            )
            if self.average:
                self.average.overwrite_if_due(self.strategy)
            for name, meter in self.meters.items():
                meter.update_state(scalars[name])
            # The objective is the cross-entropy and the penalties of the network itself; both must be numbers.
            parts = [scalars[name] for name in ("loss", "l2", "penalty")]
            is_finite = tf.reduce_all(tf.math.is_finite(tf.stack([tf.cast(part, tf.float32) for part in parts])))
            self.failed_at.assign(tf.where(is_finite | (self.failed_at >= 0), self.failed_at, number))

        return step


def _slot_names(model: keras.Model) -> Callable[[Any], str]:
    """Return a function that names an optimizer's variable after its weight, alike in every process."""
    flat = {raw.replace("/", "_"): path.replace("/", "_") for raw, path in numbered_paths(model).items()}

    def name(variable: Any) -> str:
        for weight, slot in _splits(variable.name):
            if weight in flat:
                return f"{flat[weight]}_{slot}"
        return str(variable.name)

    return name


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to split a name at an underscore, the shortest end first: a slot may be called velocity_hat."""
    for place in range(len(name) - 1, 0, -1):
        if name[place] == "_":
            yield name[:place], name[place + 1 :]


def _random_states(model: keras.Model) -> dict[str, Any]:
    """Return the states of random generators, as of dropout: neither weights nor moving statistics."""
    known = {id(variable) for variable in named_weights(model).values()}
    others = [variable for variable in model.variables if id(variable) not in known]
    return {f"random/{place:04d}": variable for place, variable in enumerate(others)}
