"""Per-sample gradients of chosen variables by a vectorised Jacobian: exact for any model, at a backward pass a sample.

It is needed for batch norm on a chunk's own statistics, with which each loss depends on the whole chunk, and for the
weights for which there is neither a rule nor the Jacobian of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from infomcr_cli.measures.cross_entropy import LossDerivative, loss_derivative
from infomcr_cli.measures.gram.conv_gradient import kernel_gradients_as_products
from infomcr_cli.measures.gram.norm_gradient import norm_gradients_in_closed_form
from infomcr_cli.measures.loops import unremarked_loops
from infomcr_cli.measures.stateless import BatchNormMode, in_precision, measurement_scope, number_of_classes
from infomcr_cli.models.logits import check_operation


class Setting(NamedTuple):
    """What a pass over samples depends on besides the weights and the samples."""

    model: keras.Model
    precision: str
    batch_norm: BatchNormMode
    logit_scale: float | None


class JacobianPass:
    """A compiled function from one chunk of samples to rows of J for some variables.

    Rows are those of the unit derivative at the logits: J_i = exp(log_length_i) · row_i.

    Args:
        setting:   model, precision, batch norm's mode, scale of the logits.
        weights:   all floating-point variables, whose values are passed to each call.
        variables: the ones to differentiate by.
        chunk:     a chunk of samples that gives the shapes; all later chunks have the same.
    """

    def __init__(
        self, setting: Setting, weights: Sequence[keras.Variable], variables: Sequence[keras.Variable], chunk: Any
    ) -> None:
        self.variables = list(variables)
        self._setting = setting
        self._weights = list(weights)
        positions = {id(v): i for i, v in enumerate(self._weights)}
        self._wanted = [positions[id(v)] for v in variables]
        self.size = leading_size(chunk)
        self.num_classes = 0
        self.is_vectorised = True
        self._signature = chunk_signature(self._weights, setting.precision, chunk)
        try:
            self._function = self._compile()
        except (ValueError, TypeError, NotImplementedError):
            self.compile_loop()

    def __call__(self, values: Sequence[tf.Tensor], images: Any, labels: Any) -> tuple[LossDerivative, list[tf.Tensor]]:
        """Return the losses and, for each variable, rows of shape [n, *variable.shape]."""
        return self._function(list(values), images, labels)

    def compile_loop(self) -> None:
        """Take sample by sample from now on: TensorFlow vectorises an operation wrongly or not at all."""
        self.is_vectorised = False
        self._function = self._compile()

    def _compile(self) -> Any:
        return tf.function(self._rows, autograph=False).get_concrete_function(*self._signature)

    @contextmanager
    def _quick_gradients(self) -> Iterator[None]:
        """Use gradients inside the block that take less time for many cotangents, if they are taken at once."""
        with ExitStack() as stack:
            if self.is_vectorised:
                stack.enter_context(kernel_gradients_as_products(self._setting.model))
                if self._setting.batch_norm == "batch":
                    stack.enter_context(norm_gradients_in_closed_form(self._setting.model))
            yield

    def _rows(self, values: list[tf.Tensor], images: Any, labels: tf.Tensor) -> Any:
        wanted = [values[i] for i in self._wanted]
        setting, mapping = self._setting, list(zip(self._weights, values, strict=True))
        with (
            measurement_scope(setting.model, mapping, setting.precision, setting.batch_norm),
            self._quick_gradients(),
            unremarked_loops(),
        ):
            with tf.GradientTape(watch_accessed_variables=False, persistent=not self.is_vectorised) as tape:
                tape.watch(wanted)
                logits, derivative = forward(setting, images, labels)  # [n, C]
                self.num_classes = logits.shape[1]
                # Along the unit direction at the logits, so that no row underflows: [n].
                targets = tf.reduce_sum(tf.cast(derivative.direction, logits.dtype) * logits, axis=1)
            rows = tape.jacobian(
                targets, wanted, unconnected_gradients="zero", experimental_use_pfor=self.is_vectorised
            )
        return derivative, rows


def forward(setting: Setting, images: Any, labels: tf.Tensor) -> tuple[tf.Tensor, LossDerivative]:
    """Return logits [n, C] and the loss with its derivative; the derivative is a constant to any tape.

    Raises:
        InputError: the model's output is not one vector of two or more logits a sample, or it is probabilities.
    """
    logits = setting.model(in_precision(images, setting.precision), training=False)
    number_of_classes(logits)
    if tf.is_symbolic_tensor(logits):
        check_operation(logits)
    derivative = loss_derivative(logits, labels, setting.logit_scale)
    return logits, LossDerivative(*(tf.stop_gradient(part) for part in derivative))


def chunk_signature(weights: Sequence[keras.Variable], precision: str, chunk: Any) -> tuple[Any, Any, tf.TensorSpec]:
    """Return the tensor specifications of (weights, images, labels) for chunks like this one."""
    specs = [tf.TensorSpec(v.shape, precision) for v in weights]
    images = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, tf.as_dtype(x.dtype)), chunk)
    return specs, images, tf.TensorSpec([leading_size(chunk)], tf.int32)


def leading_size(samples: Any) -> int:
    """Return the number of samples in an array or a structure of arrays."""
    return int(tf.nest.flatten(samples)[0].shape[0])
