"""`gamma`: the log-volume of the per-sample gradients of any Keras model, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.api.arguments import network_of, samples_of, whole_number
from infomcr_cli.errors import InputError
from infomcr_cli.measures.draws import disjoint_draws
from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.samples import take
from infomcr_cli.measures.stateless import BatchNormMode, trainable_weights
from infomcr_cli.measures.value import mean_over_draws

if TYPE_CHECKING:
    from infomcr_cli.measures.gram.record import GramRecord


@dataclass(frozen=True)
class Gamma:
    """Gamma of a network over several draws.

    Args:
        value:     mean over the draws of full rank, nats; None if every draw is singular.
        std_error: standard error of the mean, nats; None for fewer than two draws of full rank.
        draws:     gamma of each draw, nats; None for a singular draw, which is excluded from the mean.
        rank:      rank of the Gram matrix of each draw, below `draw_size` if it is singular.
        draw_size: N, samples in a draw.
        interval:  95 % interval of the value by Student's t, nats; None if there is no standard error.
    """

    value: float | None
    std_error: float | None
    draws: tuple[float | None, ...]
    rank: tuple[int, ...]
    draw_size: int
    interval: tuple[float, float] | None = None

    @property
    def deficient(self) -> int:
        """Number of singular draws."""
        return self.draws.count(None)

    def __repr__(self) -> str:
        singular = f", {self.deficient} of them singular" if self.deficient else ""
        return f"Gamma({self._shown()}, {len(self.draws)} draws of {self.draw_size}{singular})"

    def _shown(self) -> str:
        """Return value and error to the digits that the error allows."""
        if self.value is None:
            return "not available"
        if not self.std_error:
            return f"{self.value:.6g} nats"
        places = max(0, 1 - math.floor(math.log10(self.std_error)))
        return f"{self.value:.{places}f} ± {self.std_error:.{places}f} nats"


def gamma(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    draws: int = 10,
    draw_size: int = 100,
    batch_norm: BatchNormMode = "inference",
    logit_scale: float | None = None,
    chunk_size: int = 10,
) -> Gamma:
    """Return gamma = ½ ln det G of a network, the mean over disjoint draws, in nats; lower is flatter.

    G = J Jᵀ, where row i of J is the gradient of sample i's cross-entropy with respect to all trainable weights. The
    draws are consecutive samples: 0 to N - 1, then N to 2N - 1, and so on. If there are fewer than draws · draw_size
    samples, there are ⌊n / draw_size⌋ draws. The network is not changed. A second call with the same network, at
    other weights, does not compile again.

    Args:
        model:       any Keras 3 model that maps a sample to logits, or a `RegularizedModel`.
        images:      inputs of the model, scaled as in its training, [n, ...]; a dict by input name if it has several.
        labels:      true classes, whole numbers, [n] or [n, 1].
        draws:       T, at most this many draws.
        draw_size:   N, samples in a draw, at least 2.
        batch_norm:  `inference` (moving statistics) or `batch` (statistics of chunks of `chunk_size` samples).
        logit_scale: s; the loss of z / (‖z‖ s) is used. None: raw logits. The study uses 0.04 to compare minima
                     found with and without its regularizer.
        chunk_size:  samples that share batch statistics in `batch` mode; it must divide draw_size.

    Returns:
        the value, its standard error, and value and rank of each draw. The value of a singular draw is None.

    Raises:
        InputError: the model outputs probabilities, labels are not classes, or the samples do not fill one draw.

    Examples:
        >>> import keras, numpy as np
        >>> from infomcr_cli import gamma
        >>> rng = np.random.default_rng(0)
        >>> images, labels = rng.standard_normal((40, 8)), rng.integers(0, 3, 40)
        >>> model = keras.Sequential([keras.Input([8]), keras.layers.Dense(3, kernel_initializer="zeros")])
        >>> found = gamma(model, images, labels, draws=4, draw_size=10)
        >>> len(found.draws), found.rank
        (4, (10, 10, 10, 10))
        >>> round(found.value)
        7
    """
    images, labels = samples_of("images and labels", (images, labels))
    drawn = checked_draws(labels, draws=draws, draw_size=draw_size)
    check_chunk(batch_norm, draw_size, chunk_size)
    options = {"batch_norm": batch_norm, "logit_scale": logit_scale, "chunk_size": chunk_size}
    return over_draws(_engine_for(network_of(model), draw_size, options), images, labels, drawn)


def checked_draws(labels: NDArray[np.int32], *, draws: int, draw_size: int) -> list[NDArray[np.int64]]:
    """Return the indices of each draw.

    Raises:
        InputError: a number is not whole or is too small, or there are fewer samples than one draw needs.
    """
    draws = whole_number("draws", draws, least=1)
    draw_size = whole_number("draw_size", draw_size, least=2)
    if draw_size > len(labels):
        received = f"draw_size={draw_size}, {len(labels)} samples"
        raise InputError("draw_size must not exceed the number of samples", received=received)
    return disjoint_draws(labels, stored_order=True, samples=len(labels), draw_size=draw_size, draws=draws)


def check_chunk(batch_norm: str, draw_size: int, chunk_size: int) -> None:
    """Raise InputError if chunks do not divide a draw in `batch` mode."""
    if batch_norm == "batch" and draw_size % whole_number("chunk_size", chunk_size, least=2):
        received = f"{chunk_size} and {draw_size}"
        raise InputError("chunk_size must divide draw_size if batch_norm='batch'", received=received)


def over_draws(engine: GramEngine, images: Any, labels: NDArray[np.int32], draws: list[NDArray[np.int64]]) -> Gamma:
    """Return gamma of the network of an engine over draws of samples."""
    records: list[GramRecord] = [engine(take(images, indices), labels[indices]) for indices in draws]
    values, ranks = tuple(one.gamma for one in records), tuple(one.rank for one in records)
    mean = mean_over_draws(values)
    interval = mean.extras["interval"]
    return Gamma(mean.value, mean.std_error, values, ranks, len(draws[0]), interval and tuple(interval))


_latest: dict[Any, GramEngine] = {}


def _engine_for(network: keras.Model, draw_size: int, options: dict[str, Any]) -> GramEngine:
    """Return the engine of a network; the latest one is cached, because compiling takes longer than a draw."""
    # The cached engine holds the network, so no other one has its id. Freezing a layer changes the trainable weights.
    key = repr((id(network), [id(v) for v in trainable_weights(network)], draw_size, options))
    if key not in _latest:
        _latest.clear()
        _latest[key] = GramEngine(network, **options)
    return _latest[key]
