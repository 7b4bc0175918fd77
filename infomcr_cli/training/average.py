"""The exponential moving average of the weights that an optimizer with `use_ema` keeps.

    a_1 = w_1,    a_t = m a_{t-1} + (1 - m) w_t          with m = ema_momentum, after each step t

Training moves w. The average a is what is evaluated, and what checkpoints give as the weights. Moving statistics of
batch norm are those of the passes at w, as in Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import moving_averages


@dataclass(frozen=True)
class WeightAverage:
    """The average beside the weights that it is taken of.

    Args:
        optimizer:       built, with `use_ema`.
        weights:         what the optimizer was built on, in its order.
        overwrite_every: steps after which the weights become their average; None: never. Keras's own
                         `ema_overwrite_frequency` fails on several devices.
    """

    optimizer: keras.Optimizer
    weights: Sequence[Any]
    overwrite_every: int | None = None

    @property
    def averages(self) -> list[Any]:
        """The averages, one variable for each of the weights; zeros before the first step."""
        return moving_averages(self.optimizer)

    @property
    def has_begun(self) -> bool:
        """Whether a step was taken."""
        return int(self.optimizer.iterations.numpy()) > 0

    def by_weight(self) -> dict[int, Any]:
        """Return the variable that holds what a weight counts as, by the `id` of the weight."""
        if not self.has_begun:
            return {}
        return {id(weight): average for weight, average in zip(self.weights, self.averages, strict=True)}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block, give the network the average; afterwards it has its weights again, bit for bit."""
        if not self.has_begun:
            yield
            return
        kept = [weight.numpy() for weight in self.weights]
        _assign(self.weights, [average.numpy() for average in self.averages])
        try:
            yield
        finally:
            _assign(self.weights, kept)

    def restore(self) -> None:
        """Set the averages to the present weights: a checkpoint holds the average under the weights' names."""
        _assign(self.averages, [weight.numpy() for weight in self.weights])

    def overwrite_if_due(self, strategy: tf.distribute.Strategy) -> None:
        """Let the weights become their average after every `overwrite_every` steps; called after each step."""
        if self.overwrite_every is None:
            return
        steps = tf.cast(self.optimizer.iterations, tf.int64)
        due = tf.equal(steps % self.overwrite_every, 0)

        def overwrite(weight: Any, average: Any) -> None:
            weight.assign(tf.where(due, average, weight))

        for weight, average in zip(self.weights, self.averages, strict=True):
            strategy.extended.update(weight.value, overwrite, args=(average.value,))


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
