"""The interface of a regularizer: a function of a batch that returns what to add to the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import tensorflow as tf

from infomcr_cli.training.gradients import Pass, Tensors

if TYPE_CHECKING:
    import keras


class RegularizerTerm(NamedTuple):
    """What a regularizer adds to a step.

    Attributes:
        value:    the penalty, without its weight.
        gradient: what is added to the gradient of cross-entropy, weight and sign included; one tensor for each of
                  `model.trainable_variables`.
        main:     the mean of the sub-batches' passes at w if it replaces the main pass, else None. Its gradient is that
                  of cross-entropy and of what layers added to the loss, without penalties on weights.
    """

    value: tf.Tensor
    gradient: Tensors
    main: Pass | None = None


class Regularizer(Protocol):
    """A function (model, batch) → value and gradient that changes nothing in the model."""

    @property
    def is_active(self) -> bool:
        """Whether it adds anything; if not, a step is exactly the plain step and costs no more."""
        ...

    def __call__(self, model: keras.Model, images: Any, labels: Any) -> RegularizerTerm:
        """Return the penalty and its gradient on images [B, H, W, C] and labels [B] or class weights [B, C]."""
        ...
