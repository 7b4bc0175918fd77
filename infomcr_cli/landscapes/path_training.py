"""Train the control point of the curve between two minima.

Each step takes a batch of the first run's training images, augmented as in that run, and one t, uniform on [0, 1]. Both
depend only on the seed and the step, so that training that was stopped continues to identical bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset, named_failures, steps_per_epoch, training_stream
from infomcr_cli.errors import RunFailedError
from infomcr_cli.landscapes.path_curve import Arrays, curve_gradient
from infomcr_cli.landscapes.path_folder import PathFolder
from infomcr_cli.landscapes.path_settings import curve_rate
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.training.gradients import smoothed_labels, values_of

SECONDS_BETWEEN_SAVES = 10.0
STREAM_OF_T, STREAM_OF_NETWORK = 1, 2  # of the seed; the order of images has its own


class CurveTraining:
    """A control point in training.

    Args:
        model:    gives the function of the weights; only its random generators change.
        first:    w_A by name.
        last:     w_B by name.
        training: as `curve_training` describes it.
        seed:     of random generators, such as that of dropout.
    """

    def __init__(
        self, model: keras.Model, first: Arrays, last: Arrays, training: Mapping[str, Any], seed: int = 0
    ) -> None:
        self._model, self._smoothing = model, float(training["label_smoothing"])
        names = {id(variable): name for name, variable in named_weights(model).items()}
        self._names = [names[id(variable)] for variable in model.trainable_variables]
        trainable = list(zip(self._names, model.trainable_variables, strict=True))
        self._ends = tuple(
            [tf.constant(ends[name], variable.dtype) for name, variable in trainable] for ends in (first, last)
        )
        # θ starts in the middle of the line, so that the curve is the line at first.
        self._control = [
            keras.Variable((a + b) / 2, dtype=variable.dtype, name=f"control_{place}")
            for place, (a, b, variable) in enumerate(zip(*self._ends, model.trainable_variables, strict=True))
        ]
        settings = {name: training[name] for name in ("momentum", "nesterov", *_CLIPPING)}
        self._rate = float(training["learning_rate"])
        self._optimizer = keras.optimizers.SGD(self._rate, **settings)
        self._optimizer.build(self._control)  # its variables must exist before `resume` assigns them
        known = {id(variable) for variable in named_weights(model).values()}
        self._random = [v for v in model.non_trainable_variables if id(v) not in known]
        for place, variable in enumerate(self._random):  # they may have been used before, by another computation
            variable.assign(
                np.random.default_rng([seed, STREAM_OF_NETWORK, place]).integers(2**31, size=variable.shape)
            )
        self._step = tf.function(self._take, autograph=False, reduce_retracing=True)

    @property
    def steps(self) -> int:
        """Number of steps taken; the optimizer counts them, so that a signal cannot separate a step from its count."""
        return int(self._optimizer.iterations)

    def compile(self, batch: tuple[Any, Any]) -> None:
        """Compile the step for batches of one shape, without taking it."""
        self._step.get_concrete_function(tf.constant(0.0, tf.float64), *batch)

    def step(self, t: float, rate: float, images: Any, labels: Any) -> float:
        """Take one step at t with a share of the learning rate, and return the objective before it."""
        self._optimizer.learning_rate = self._rate * rate
        return float(self._step(tf.constant(t, tf.float64), images, labels))

    def is_finite(self) -> bool:
        """Return whether all numbers of θ are finite."""
        return all(bool(np.isfinite(np.asarray(value)).all()) for value in self._control)

    def control(self) -> dict[str, Any]:
        """Return θ by the names of the weights."""
        return {name: np.asarray(value) for name, value in zip(self._names, self._control, strict=True)}

    def arrays(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {name: np.asarray(variable) for name, variable in self._variables().items()}

    def resume(self, folder: PathFolder) -> None:
        """Continue from what a folder keeps of this curve, if it keeps anything whole."""
        kept = folder.curve()
        if kept is not None:
            assign_all(self._variables(), kept)

    def _variables(self) -> dict[str, Any]:
        control = {f"control/{name}": value for name, value in zip(self._names, self._control, strict=True)}
        optimizer = {f"optimizer/{place:04d}": v for place, v in enumerate(self._optimizer.variables)}
        return {**control, **optimizer, **{f"random/{place:04d}": v for place, v in enumerate(self._random)}}

    def _take(self, t: tf.Tensor, images: Any, labels: Any) -> tf.Tensor:
        others = self._model.non_trainable_variables
        control = values_of(self._control)
        with smoothed_labels(self._smoothing):
            loss, gradient, after = curve_gradient(
                self._model, t, (self._ends[0], self._ends[1]), control, values_of(others), images, labels
            )
        self._optimizer.apply(gradient, self._control)
        # Moving statistics stay: those of a point on the curve fit neither end nor the next point.
        random = {id(variable) for variable in self._random}
        for variable, value in zip(others, after, strict=True):
            if id(variable) in random:
                variable.assign(value)
        return loss


_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


def train_curve(
    curve: CurveTraining,
    batches: Callable[[int], Iterable[tuple[Any, Any]]],
    folder: PathFolder,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Train a curve from its current state to the end, storing it in a folder on the way.

    Args:
        batches:  from a step on, images and labels of each step.
        on_step:  is called after each step.

    Raises:
        RunFailedError: the objective is not finite.
    """
    # All at once: training that is continued gets the same t at each step.
    places = np.random.default_rng([seed, STREAM_OF_T]).random(steps)
    saved_at = time.monotonic()
    try:
        for images, labels in islice(batches(curve.steps), steps - curve.steps):
            done = curve.steps
            loss = curve.step(float(places[done]), curve_rate(done / steps), images, labels)
            if not math.isfinite(loss):
                rule = f"the loss of step {done} of the curve is not a finite number"
                raise RunFailedError(f"{rule}. A smaller --learning-rate may help.")
            on_step()
            if time.monotonic() - saved_at >= SECONDS_BETWEEN_SAVES:
                folder.keep_curve(curve.arrays())
                saved_at = time.monotonic()
    finally:
        if curve.is_finite():  # after an error or a signal too, but never a θ that could not be continued
            folder.keep_curve(curve.arrays())


def curve_batches(
    dataset: Dataset, config: RunConfig, batch_size: int, steps: int, seed: int
) -> Callable[[int], Iterable[tuple[Any, Any]]]:
    """Return training batches of the first run's data with its augmentation, from a step on.

    Raises:
        InputError: the samples are not images, or fewer than a batch.
    """
    data = config.data.model_copy(update={"batch_size": min(batch_size, len(dataset.train))})
    each = steps_per_epoch(dataset, data)

    def since(done: int) -> Iterable[tuple[Any, Any]]:
        stream = training_stream(
            dataset,
            data,
            config.augment,
            seed=seed,
            epochs=-(-steps // each),  # rounded up
            first_epoch=done // each,
            first_step=done % each,
        )
        return named_failures(stream, dataset)

    since(0)  # refuses what cannot be streamed
    return since
