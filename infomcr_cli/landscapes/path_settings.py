"""The settings of a path computation, independent of the two minima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infomcr_cli.config.schema.run import RunConfig

POINTS, STEPS = 21, 1000
MOST_POINTS, MOST_STEPS = 2001, 10**7
BATCH_OF_IMPORTED = 64  # of a run whose training is not known
RATE, MOMENTUM = 0.01, 0.9  # of a run that was trained by another optimizer than SGD


@dataclass(frozen=True)
class PathSettings:
    """How a path is computed.

    Args:
        points:        of each path, both ends included.
        steps:         of training of the curve; 0: there is no curve.
        samples:       training and test images that values are taken of; None: all.
        align:         whether the second network's channels are aligned.
        seed:          of the order of images and of t along the curve, and of the alignment.
        learning_rate: of the curve at the start; None: that of the first run.
    """

    points: int = POINTS
    steps: int = STEPS
    samples: int | None = None
    align: bool = False
    seed: int = 0
    learning_rate: float | None = None


def curve_training(settings: PathSettings, config: RunConfig) -> dict[str, Any]:
    """Return how the curve is trained: as the first run was, by SGD with momentum.

    The learning rate is constant for the first half of the steps, then falls evenly to a hundredth at nine tenths
    (Garipov et al., 2018).

    Args:
        config: of the first run.
    """
    optimizer = config.optimizer
    is_known = config.imported is None and optimizer.name == "sgd"
    rate = optimizer.learning_rate if is_known else RATE
    return {
        "optimizer": "sgd",
        "learning_rate": settings.learning_rate or rate,
        "momentum": getattr(optimizer, "momentum", MOMENTUM) if is_known else MOMENTUM,
        "nesterov": getattr(optimizer, "nesterov", True) if is_known else True,
        **{name: getattr(optimizer, name) for name in ("clipnorm", "global_clipnorm", "clipvalue")},
        "l2": optimizer.l2,
        "label_smoothing": optimizer.label_smoothing,
        "batch_size": BATCH_OF_IMPORTED if config.imported else config.data.batch_size,
        "augment": config.augment.name,
    }


def curve_rate(done: float) -> float:
    """Return the share of the learning rate after a share of the steps, 0..1.

    Examples:
        >>> [round(curve_rate(done), 3) for done in (0.0, 0.5, 0.7, 0.9, 1.0)]
        [1.0, 1.0, 0.505, 0.01, 0.01]
    """
    return 1.0 if done <= 0.5 else max(0.01, 1.0 - (done - 0.5) / 0.4 * 0.99)
