"""Relative flatness of the last layer: its curvature, made independent of how the network is scaled."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import softmax

from infomcr_cli.errors import InputError
from infomcr_cli.measures.library.common import IMAGES, Found, register_rival
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.stateless import all_layers
from infomcr_cli.models.keras_internals import replaced

if TYPE_CHECKING:
    from infomcr_cli.measures.context import Minimum


Array = NDArray[np.float64]


def closed_form_flatness(kernel: Array, features: Array, logits: Array) -> float:
    """Return κ = Σ_ss' ⟨w_s, w_s'⟩ tr H_ss' for a last layer z = W φ + b under cross-entropy.

    H_ss' = mean_i p_is (δ_ss' - p_is') φ_i φ_iᵀ is the Hessian's block of rows s and s' of W. So κ is the mean of
    ‖φ_i‖² times the variance of the rows of W under p_i, in closed form.

    Args:
        kernel: Wᵀ, [F, C].
        features: φ, [N, F].
        logits: z, [N, C].

    Source:  Petzka et al., 2021, arXiv:2001.00939 (trace form).
    Example: closed_form_flatness(np.array([[1.0, -1.0]]), np.ones((1, 1)), np.zeros((1, 2))) is 1.0.
    """
    p = softmax(logits, axis=1)
    centre = p @ kernel.T  # [N, F]
    distances = np.stack([np.sum((row - centre) ** 2, axis=1) for row in kernel.T], axis=1)
    return float(np.mean(np.sum(features**2, axis=1) * np.sum(p * distances, axis=1)))


def relative_flatness_of(surface: LossSurface) -> float:
    """Return κ of the last layer of a network.

    Raises:
        InputError: the logits are not the output of a Dense layer.
    """
    last: list[keras.layers.Dense] = []

    def around_last_layer(images: Any) -> Any:
        logits, by_output = _dense_calls(surface.model, images)
        if id(logits) not in by_output:
            raise InputError("relative flatness needs a dense layer that gives the logits", received=surface.model.name)
        layer, inputs, _ = by_output[id(logits)]
        last[:] = [layer]
        return tf.cast(inputs, tf.float64), tf.cast(logits, tf.float64)

    parts = surface.watched(around_last_layer)
    features, logits = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return closed_form_flatness(np.asarray(last[0].kernel, np.float64), features, logits)


def _dense_calls(model: keras.Model, images: Any) -> tuple[Any, dict[int, tuple[keras.layers.Dense, Any, Any]]]:
    """Return the model's output, and each call of a linear dense layer as (layer, input, output) by the output's id."""
    calls: dict[int, tuple[keras.layers.Dense, Any, Any]] = {}

    def noting(layer: keras.layers.Dense) -> Any:
        call = layer.call

        def call_and_note(inputs: Any, **kwargs: Any) -> Any:
            output = call(inputs, **kwargs)
            calls[id(output)] = layer, inputs, output
            return output

        return call_and_note

    with ExitStack() as stack:
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear:
                stack.enter_context(replaced(layer, "call", noting(layer)))
        return model(images, training=False), calls


@register_rival(
    name="relative_flatness",
    formula="Σ_ss' ⟨w_s, w_s'⟩ tr H_ss', rows s, s' of the last layer",
    source="Petzka et al., NeurIPS 2021, arXiv:2001.00939",
    unit="nats",
    direction="lower",
    cost="one forward pass over the samples",
    needs=(IMAGES, "a dense last layer"),
    settings=("samples",),
    suite="standard",
)
def relative_flatness(at: Minimum) -> Found:
    """Return κ in closed form; low values are flat."""
    pass

    return Found(relative_flatness_of(at.surface))
