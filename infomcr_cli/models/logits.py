"""Whether a network gives logits: the loss and every measure take the softmax themselves.

Of probabilities they would take it twice, and every number would be wrong without a word.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp

from infomcr_cli.errors import InputError
from infomcr_cli.models.keras_internals import called_function, full_precision, inlined_functions

_BY_OPERATION = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
_SHAPE_OR_TYPE = {
    *("Identity", "IdentityN", "StopGradient", "CheckNumerics", "EnsureShape", "Cast"),
    *("Reshape", "Squeeze", "ExpandDims", "Transpose"),
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
TOLERANCE = 1e-4  # of a sum of float32 probabilities
_checked: weakref.WeakSet[keras.Model] = weakref.WeakSet()


def check_logits(model: keras.Model, images: Any) -> None:
    """Check, once for each model, that it does not end in a softmax, a log_softmax or a sigmoid.

    Two checks: of the operation that makes its output, whichever layer or function it comes from; and at its values,
    which a softmax written out keeps on the simplex at any weights. They are taken at weights near the model's own, as
    logits may lie there by their initial values: with a kernel of zeros and a bias of the classes' log shares, say.

    Args:
        images: a few that the model takes, [n, ...].

    Raises:
        InputError: it does.
    """
    if model in _checked:
        return
    values = _near(model.trainable_variables)
    passed = _compiled(model, values, images)
    for output in passed.outputs:
        check_operation(output)
    outputs = passed(values, images)
    if tf.is_tensor(outputs) and outputs.shape.rank == 2:
        _refuse(_kind_by_values(np.asarray(outputs, np.float64)))
    know_logits(model)


def know_logits(model: keras.Model) -> None:
    """Note that a model gives logits: it need not be checked."""
    _checked.add(model)


def expect_logits(model: keras.Model, images: Any, logits: tf.Tensor) -> None:
    """Check what a model gave for images: by its operation while a graph is made, and as `check_logits` outside.

    Raises:
        InputError: these are no logits.
    """
    if tf.is_symbolic_tensor(logits):
        check_operation(logits)
    else:
        check_logits(model, images)


def check_operation(logits: tf.Tensor) -> None:
    """Check the operation that makes a tensor of a graph, past those that change nothing but its shape or its type.

    Raises:
        InputError: it is a softmax, a log_softmax or a sigmoid.
    """
    operation, place = logits.op, logits.value_index
    while operation.type in _SHAPE_OR_TYPE | _CALLS:
        if operation.type in _CALLS:
            source = called_function(operation).outputs[place]
        else:
            source = operation.inputs[place if operation.type == "IdentityN" else 0]
        operation, place = source.op, source.value_index
    _refuse(_BY_OPERATION.get(operation.type))


def _compiled(model: keras.Model, values: Sequence[tf.Tensor], images: Any) -> Any:
    def outputs(values: Sequence[tf.Tensor], images: Any) -> Any:
        mapping = zip(model.trainable_variables, values, strict=True)
        with full_precision(model), inlined_functions(model), keras.StatelessScope(mapping):
            return model(images, training=False)

    return tf.function(outputs, autograph=False).get_concrete_function(values, images)


def _near(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """Values about a tenth from those of the variables, which leaves activations of their size."""
    rng = np.random.default_rng(0)
    return [
        tf.cast(tf.convert_to_tensor(v.value), v.dtype) * (1 + 0.1 * _normal(rng, v)) + 0.01 * _normal(rng, v)
        for v in variables
    ]


def _normal(rng: np.random.Generator, variable: keras.Variable) -> tf.Tensor:
    return tf.cast(rng.standard_normal(variable.shape, np.float32), variable.dtype)


def _kind_by_values(outputs: NDArray[np.float64]) -> str | None:
    """The function of which these outputs [n, C] are values, or None."""
    if outputs.shape[1] < 2 or not np.isfinite(outputs).all():
        return None
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, rtol=0, atol=TOLERANCE):
        return "softmax"
    return "log_softmax" if np.allclose(logsumexp(outputs, axis=1), 0, rtol=0, atol=TOLERANCE) else None


def _refuse(kind: str | None) -> None:
    if kind is not None:
        raise InputError(
            "a network must give logits, not probabilities: the loss and the measures take the softmax themselves",
            received=f"the values of a {kind}",
            advice="Leave out the last activation: a Dense layer without one, no Softmax layer behind it; networks of "
            "keras.applications take classifier_activation=None.",
        )
