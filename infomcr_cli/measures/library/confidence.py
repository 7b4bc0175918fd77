"""Confidence of the network on training images, and its calibration; both also under noise on the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import SAME_FUNCTION
from infomcr_cli.measures.value import Direction, MeasureValue
from infomcr_cli.measures.work import Work, no_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
BINS = 15


def mean_confidence(logits: Array, labels: Labels) -> float:
    """Return the mean of the highest probability, in [1/C, 1].

    Args:
        logits: [N, C].
        labels: [N]; not used.
    """
    return float(np.mean(_confidence(logits)))


def mean_entropy(logits: Array, labels: Labels) -> float:
    """Return the mean of −Σ_k p_k ln p_k, in [0, ln C], nats.

    Args:
        logits: [N, C].
        labels: [N]; not used.
    """
    below, others = _others(logits)
    logs = below - np.log1p(others)  # ln p, [N, C]; that of a class that is nearly certain keeps all its digits
    return max(0.0, -float(np.mean(np.sum(np.exp(logs) * logs, axis=1))))


def calibration_error(logits: Array, labels: Labels) -> float:
    """Return ECE: over 15 bins of confidence, each (k/15, (k+1)/15], the mean of |accuracy − confidence|, in [0, 1].

    A bin counts as often as it has samples.

    Args:
        logits: [N, C].
        labels: true classes, [N].

    Source:
        Naeini et al., AAAI 2015; Guo et al., ICML 2017, arXiv:1706.04599.

    Examples:
        >>> float(calibration_error(np.zeros((4, 2)), np.array([0, 1, 0, 1])))
        0.0
    """
    confidence = _confidence(logits)
    surplus = (logits.argmax(axis=1) == labels) - confidence  # of accuracy
    # `ceil` - 1, not `floor`: a bin holds its upper end.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    # Σ over each bin of accuracy − confidence, [BINS]: n_b times the difference of their means.
    return float(np.abs(np.bincount(bins, surplus, BINS)).sum() / len(labels))


def _confidence(logits: Array) -> Array:
    """Return the highest probability of each sample, [N]; 1/C of C equal logits, to the last bit."""
    return np.asarray(1.0 / (1.0 + _others(logits)[1][:, 0]))


def _others(logits: Array) -> tuple[Array, Array]:
    """Return logits less the highest one, [N, C], and Σ e^x of them over all other classes, [N, 1]."""
    highest = logits.argmax(axis=1)[:, None]  # [N, 1]
    below = logits - np.take_along_axis(logits, highest, axis=1)
    shares = np.exp(below)
    # The highest one is left out, not subtracted from the sum: a small rest keeps its digits.
    np.put_along_axis(shares, highest, 0.0, axis=1)
    return below, shares.sum(axis=1, keepdims=True)


def noisy_images(images: Any, noise: float, seed: int) -> Any:
    """Return images with Gaussian noise, whose standard deviation is `noise` times that of each channel.

    Standardised images have channels of standard deviation 1, so that there `noise` is the deviation itself; of other
    inputs it is the same share.

    Args:
        images: what the model takes, standardised, an array [N, ..., channels] or [N], or a structure of arrays.

    Raises:
        InputError: an array does not hold real numbers.
    """
    import keras

    generator = np.random.default_rng(seed)

    def noisy(x: Any) -> Any:
        if not np.issubdtype(x.dtype, np.floating):
            raise InputError("noise on inputs needs real-valued inputs", received=str(x.dtype))
        over = tuple(range(max(1, x.ndim - 1)))  # of one number a sample, [N], over the samples
        spread = np.std(x, axis=over, dtype=np.float64)  # [channels], or one number
        return (x + noise * spread * generator.standard_normal(x.shape)).astype(x.dtype)

    return keras.tree.map_structure(noisy, images)


def noisy_logits(ctx: MeasureContext) -> Array:
    """Return the logits of the samples under noise on the inputs, [N, C], which several measures share."""
    from infomcr_cli.measures.loss_surface import LossSurface

    surface = ctx.surface
    images = noisy_images(surface.images, ctx.config.confidence.input_noise, ctx.seed)
    return LossSurface(ctx.model, images, surface.labels, batch_size=ctx.config.batch_size).clean_logits


def noisy_pass(config: MeasureConfig) -> Work:
    """Return the work of the pass over noisy samples."""
    return Work(forward=config.samples)


class LogitScore(NamedTuple):
    """What is read off the logits.

    Args:
        number: logits [N, C] and labels [N] → value.
    """

    formula: str
    source: str
    unit: str
    direction: Direction
    number: Callable[[Array, Labels], float]


NAKAI = "as a measure: Nakai et al., 2026, arXiv:2602.01718"
SCORES = {
    "train_confidence": LogitScore("mean max_k p_k", NAKAI, "share", "higher", mean_confidence),
    "train_entropy": LogitScore("mean −Σ_k p_k ln p_k", NAKAI, "nats", "lower", mean_entropy),
    "train_calibration_error": LogitScore(
        "Σ_b n_b/N |accuracy_b − confidence_b|, 15 bins",
        f"Guo et al., ICML 2017, arXiv:1706.04599; {NAKAI}",
        "share",
        "lower",
        calibration_error,
    ),
}


def _of_clean(number: Callable[[Array, Labels], float]) -> Callable[[MeasureContext], MeasureValue]:
    return lambda ctx: _value(number, ctx.surface.clean_logits, ctx.surface.labels)


def _of_noisy(number: Callable[[Array, Labels], float]) -> Callable[[MeasureContext], MeasureValue]:
    return lambda ctx: _value(number, ctx.once(noisy_logits), ctx.surface.labels)


def _value(number: Callable[[Array, Labels], float], logits: Array, labels: Labels) -> MeasureValue:
    if not np.all(np.isfinite(logits)):
        raise InputError("probabilities need finite logits", received="NaN or infinity")
    return MeasureValue(number(logits, labels))


for _name, _score in SCORES.items():
    register_measure(
        name=_name,
        formula=f"{_score.formula}, p = softmax(z)",
        source=_score.source,
        family="confidence",
        invariance=SAME_FUNCTION,
        unit=_score.unit,
        direction=_score.direction,
        cost="one forward pass over the samples, shared with margin",
        passes=no_passes,
        needs=(IMAGES,),
        settings=("samples",),
    )(_of_clean(_score.number))
    register_measure(
        name=f"noisy_{_name}",
        formula=f"{_score.formula}, p = softmax(z) of images + confidence.input_noise · N(0, 1)",
        source=_score.source,
        family="confidence",
        invariance=SAME_FUNCTION,
        unit=_score.unit,
        direction=_score.direction,
        cost="one forward pass over the noisy samples, shared by the noisy measures",
        passes=noisy_pass,
        needs=(IMAGES, "real inputs"),
        settings=("samples", "confidence.input_noise"),
        free=True,
    )(_of_noisy(_score.number))
