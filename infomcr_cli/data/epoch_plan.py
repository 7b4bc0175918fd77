"""Plan an epoch: draw all randomness of the input pipeline with NumPy, before TensorFlow gets a pixel.

Batch i of epoch e is a pure function of (seed, e, i): a run resumed at any step sees the same bits, and no random
state has to be saved. Each kind of draw of an epoch has its own random stream, so that switching one off leaves the
others alone. The orders of epochs 1 to 4 have the streams of the choices in `subsets` if these have the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.data import AugmentConfig

# A generator seeded by [seed, epoch, 0] equals one seeded by [seed, epoch]: the order is stream 0.
ORDER, SHIFT, FLIP, HOLE, MIX, PARTNER = range(6)


@dataclass(frozen=True)
class EpochPlan:
    """The draws of one epoch, S steps of B images each.

    Args:
        order:    which training image, int32, [S, B].
        shifts:   crop offset in rows and columns, -padding..padding, int32, [S, B, 2].
        flips:    whether to mirror, bool, [S, B].
        holes:    centre of the cutout in rows and columns, int32, [S, B, 2].
        weights:  the mixing weight λ of a batch, 0..1, float32, [S].
        partners: place in the batch of the image that is mixed in with weight 1 - λ, int32, [S, B].
    """

    order: NDArray[np.int32]
    shifts: NDArray[np.int32]
    flips: NDArray[np.bool_]
    holes: NDArray[np.int32]
    weights: NDArray[np.float32]
    partners: NDArray[np.int32]

    def since(self, step: int) -> EpochPlan:
        """Return the plan without its first `step` steps."""
        return EpochPlan(*(getattr(self, field.name)[step:] for field in fields(self)))


def plan_epoch(
    count: int, batch_size: int, image_shape: tuple[int, int, int], augment: AugmentConfig, *, seed: int, epoch: int
) -> EpochPlan:
    """Draw one epoch.

    Args:
        count:       n, images in the training split; the last n mod B of the epoch's order are dropped.
        batch_size:  B, at most n.
        image_shape: height, width, channels.
    """
    steps = count // batch_size
    shape, height_width = (steps, batch_size), image_shape[:2]

    def stream(kind: int) -> np.random.Generator:
        return np.random.default_rng([seed, epoch, kind])

    order = epoch_order(count, batch_size, seed=seed, epoch=epoch)
    drawn = (steps, 1) if augment.one_crop_a_batch else shape
    shifts = stream(SHIFT).integers(-augment.padding, augment.padding, (*drawn, 2), dtype=np.int32, endpoint=True)
    shifts = np.broadcast_to(shifts, (*shape, 2))  # [S, 1, 2] or [S, B, 2] → [S, B, 2]
    flips = stream(FLIP).random(shape) < 0.5 if augment.flip else np.zeros(shape, bool)  # [S, B]
    holes = stream(HOLE).integers(0, height_width, (*shape, 2), dtype=np.int32)  # [S, B, 2]
    weights = np.ones(steps, np.float32)  # [S]
    partners = np.tile(np.arange(batch_size, dtype=np.int32), (steps, 1))  # [S, B], each image itself
    if augment.mixup:
        weights = stream(MIX).beta(augment.mixup, augment.mixup, steps).astype(np.float32)
        # `permuted` draws an order for each row; `permutation` would move all rows alike.
        partners = stream(PARTNER).permuted(partners, axis=1)
    return EpochPlan(order, shifts, flips, holes, weights, partners)


def epoch_order(count: int, batch_size: int, *, seed: int, epoch: int) -> NDArray[np.int32]:
    """Return which of `count` images each step sees, [S, B]; the rest of the permutation is dropped."""
    order = np.random.default_rng([seed, epoch, ORDER]).permutation(count).astype(np.int32)
    steps = count // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)  # [S, B]
