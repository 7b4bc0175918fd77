"""Recompute the moving statistics of batch norm at a network's current weights.

Between two minima neither's moving statistics fit: they are those of other features. So they are computed anew, by one
pass over images in which every batch norm normalizes by the statistics of its batch (Izmailov et al., 2018,
arXiv:1803.05407; Garipov et al., 2018, arXiv:1802.10026).

| symbol | meaning |
| --- | --- |
| n_b | values of a channel in batch b |
| μ_b, σ²_b | their mean and biased variance |
| μ = Σ n_b μ_b / Σ n_b | new moving mean |
| σ² = Σ n_b (σ²_b + μ_b²) / Σ n_b − μ² | new moving variance: of all values, also between batches |

With all images in one batch these are what Keras computes of them in training mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.models.keras_internals import all_layers, full_precision, inlined_functions, replaced
from infomcr_cli.models.traced import Traced

Array = NDArray[np.float64]


class Moments(NamedTuple):
    """The moments of the inputs of one call of a batch norm.

    Args:
        count:    n_b, values of a channel.
        mean:     μ_b, [C].
        variance: σ²_b, [C].
    """

    count: Any
    mean: Any
    variance: Any


class BatchStatistics:
    """The batch norms of a network; the pass over images is compiled once.

    A frozen batch norm (`trainable = False`) keeps its statistics in training, and does here.

    Args:
        model: whose moving statistics are renewed.

    Examples:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input([1]), keras.layers.BatchNormalization()])
        >>> BatchStatistics(model).renew([np.array([[1.0], [2.0]], "float32"), np.array([[6.0]], "float32")])
        >>> float(model.layers[0].moving_mean[0])
        3.0
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        norms = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
        self._norms = [norm for norm in norms if norm.trainable]
        shape: Any = getattr(model, "input_shape", None)
        is_image = isinstance(shape, tuple) and len(shape) == 4
        self._moments = Traced(self._pass, [tf.TensorSpec((None, *shape[1:]), tf.float32)] if is_image else None)

    @property
    def is_needed(self) -> bool:
        """Whether the network has statistics to renew."""
        return bool(self._norms)

    def renew(self, batches: Iterable[Any]) -> None:
        """Assign the moving statistics at the network's present weights.

        Args:
            batches: images as the network takes them, without labels; the whole set once.
        """
        if not self._norms:
            return
        found: list[list[Moments]] = [[] for _ in self._norms]
        for images in batches:
            for calls, new in zip(found, self._moments(images), strict=True):
                calls += [Moments(*map(np.asarray, one)) for one in new]
        for norm, calls in zip(self._norms, found, strict=True):
            if calls:  # a layer that the network never calls has none
                mean, variance = pooled(calls)
                norm.moving_mean.assign(mean)
                norm.moving_variance.assign(variance)

    def _pass(self, images: Any) -> list[list[Moments]]:
        """Return the moments of each call of each norm; nothing of the model changes."""
        found: list[list[Moments]] = []
        with full_precision(self._model), inlined_functions(self._model), ExitStack() as stack:
            for norm in self._norms:
                found.append([])
                stack.enter_context(replaced(norm, "momentum", 0.0))  # the new moving mean is that of the batch
                stack.enter_context(replaced(norm, "call", _recording(norm, norm.call, found[-1])))
            stack.enter_context(keras.StatelessScope())
            self._model(images, training=False)  # no dropout
        return found


def pooled(calls: Sequence[Moments]) -> tuple[Array, Array]:
    """Return mean and biased variance of all values of a channel, [C] each, float64."""
    counts = np.array([float(one.count) for one in calls])
    shares = (counts / counts.sum())[:, None]  # [calls, 1]
    # [calls, C] each.
    means, variances = (np.array([getattr(one, name) for one in calls], np.float64) for name in ("mean", "variance"))
    # Weights between minima may overflow; the loss is not finite then.
    with np.errstate(invalid="ignore", over="ignore"):
        mean = (shares * means).sum(0)
        # About the new mean: the difference of squares of the formula would cancel.
        return mean, (shares * (variances + (means - mean) ** 2)).sum(0)


def _recording(norm: Any, call: Callable[..., Any], found: list[Moments]) -> Callable[..., Any]:
    def call_in_training(inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        outputs = call(inputs, training=True, **kwargs)
        count = tf.size(inputs) // inputs.shape[norm.axis]
        found.append(Moments(count, norm.moving_mean.value, norm.moving_variance.value))
        return outputs

    return call_in_training
