"""Check that a network returns logits, not probabilities.

The loss and every measure apply the softmax themselves. Given probabilities they would apply it twice, and every number
would be wrong without an error.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.models.keras_internals import called_function, full_precision, inlined_functions

_BY_OPERATION = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
_SHAPE_OR_TYPE = {
    *("Identity", "IdentityN", "StopGradient", "CheckNumerics", "EnsureShape", "Cast"),
    *("Reshape", "Squeeze", "ExpandDims", "Transpose"),
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
LOGITS_RULE = "logits, not probabilities: the loss and the measures take the softmax themselves"
TOLERANCE = 1e-4  # of a sum of float32 probabilities
_checked: weakref.WeakSet[keras.Model] = weakref.WeakSet()


def check_logits(model: keras.Model, images: Any) -> None:
    """Check, once for each model, that it does not end in a softmax, a log_softmax or a sigmoid.

    Two checks: of the operation that makes the output, whichever layer or function it comes from; and of the values,
    which lie on the simplex at any weights if the softmax is written out. Values are taken at weights near the model's
    own, because logits may lie on the simplex at initial weights: for example, if the last kernel is zero and the bias
    holds the logarithms of the classes' shares.

    Args:
        images: a few that the model takes, [n, ...].

    Raises:
        InputError: it returns probabilities.
    """
    if model in _checked:
        return
    values = _perturbed(model.trainable_variables)
    function = _compiled(model, values, images)
    for output in function.outputs:
        check_operation(output)
    outputs = function(values, images)
    if tf.is_tensor(outputs) and outputs.shape.rank == 2:
        _refuse(_kind_by_values(np.asarray(outputs, np.float64)))
    mark_as_checked(model)


def mark_as_checked(model: keras.Model) -> None:
    """Skip later checks of a model that is known to return logits."""
    _checked.add(model)


def expect_logits(model: keras.Model, images: Any, logits: tf.Tensor) -> None:
    """Check the output of a model for images: by its operation while a graph is traced, else by `check_logits`.

    Raises:
        InputError: the output is not logits.
    """
    if tf.is_symbolic_tensor(logits):
        check_operation(logits)
    else:
        check_logits(model, images)


def check_operation(logits: tf.Tensor) -> None:
    """Check the operation that makes a tensor of a graph; those that change only its shape or type are skipped.

    Raises:
        InputError: it is a softmax, a log_softmax or a sigmoid.
    """
    operation, index = logits.op, logits.value_index
    while operation.type in _SHAPE_OR_TYPE | _CALLS:
        if operation.type in _CALLS:
            source = called_function(operation).outputs[index]
        else:
            # IdentityN has an output for each input. The other operations take the tensor first, then a shape or axes.
            source = operation.inputs[index if operation.type == "IdentityN" else 0]
        operation, index = source.op, source.value_index
    _refuse(_BY_OPERATION.get(operation.type))


def _compiled(model: keras.Model, values: Sequence[tf.Tensor], images: Any) -> Any:
    """Return the model as a concrete function of values of its trainable weights and of images."""

    def outputs(values: Sequence[tf.Tensor], images: Any) -> Any:
        mapping = zip(model.trainable_variables, values, strict=True)
        with full_precision(model), inlined_functions(model), keras.StatelessScope(mapping):
            return model(images, training=False)

    return tf.function(outputs, autograph=False).get_concrete_function(values, images)


def _perturbed(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """Return the values of variables changed by about a tenth, so that activations keep their size.

    Integer variables, which Keras may list among the trainable ones, stay as they are.
    """
    rng = np.random.default_rng(0)

    def changed(variable: keras.Variable) -> tf.Tensor:
        value = tf.cast(tf.convert_to_tensor(variable.value), variable.dtype)
        if not value.dtype.is_floating:
            return value
        # The second term changes weights that are zero.
        return value * (1 + 0.1 * _normal(rng, variable)) + 0.01 * _normal(rng, variable)

    return [changed(variable) for variable in variables]


def _normal(rng: np.random.Generator, variable: keras.Variable) -> tf.Tensor:
    return tf.cast(rng.standard_normal(variable.shape, np.float32), variable.dtype)


def _kind_by_values(outputs: NDArray[np.float64]) -> str | None:
    """Return the function whose values these outputs [n, C] are, or None."""
    if outputs.shape[1] < 2 or not np.isfinite(outputs).all():
        return None
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, rtol=0, atol=TOLERANCE):
        return "softmax"
    return "log_softmax" if np.allclose(np.logaddexp.reduce(outputs, axis=1), 0, rtol=0, atol=TOLERANCE) else None


def _refuse(kind: str | None) -> None:
    if kind is not None:
        raise InputError(
            f"a network must output {LOGITS_RULE}",
            received=f"the values of a {kind}",
            advice="Remove the last activation: end with a Dense layer without activation, and without a Softmax "
            "layer; for keras.applications use classifier_activation=None.",
        )
