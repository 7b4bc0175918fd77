"""Closed-form per-sample gradients of the common layers, and the registry of these rules.

A rule is given a `LayerCall` (input, cotangent of the output) and returns, for each of the layer's own trainable
variables, its gradient for every sample, [n, *variable.shape]: as a tensor, or as an `OuterProduct` that is only
multiplied out if that pays. Layers without a rule take a vectorised Jacobian.

Notation: x input, d cotangent of the output (before the activation), n samples; sums run over a sample's positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.im2col import Window
from infomcr_cli.measures.gram.products import OuterProduct
from infomcr_cli.models.keras_internals import own_variables

layers = keras.layers
Gradients = Sequence["tf.Tensor | OuterProduct"]


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer, as a rule sees it.

    Args:
        layer:     the layer.
        inputs:    its first argument, [n, ...].
        cotangent: derivative of the losses by its output, [n, ...]; if it has an `activation`, by the input of that.
        variables: its own trainable variables, in the order in which gradients are expected.
        values:    the tensors that replace the model's variables while it is traced, by identity; use `value`.
    """

    layer: keras.Layer
    inputs: Any
    cotangent: tf.Tensor
    variables: tuple[keras.Variable, ...]
    values: dict[int, tf.Tensor]

    def value(self, variable: keras.Variable) -> tf.Tensor:
        """Return the tensor that replaces a variable, in the precision of the measurement."""
        return self.values.get(id(variable), tf.cast(tf.convert_to_tensor(variable), self.cotangent.dtype))


Rule = Callable[[LayerCall], Gradients]
Support = Callable[[Any], bool]
_RULES: dict[type, tuple[Rule, Support]] = {}


def register_rule(layer_class: type, supports: Support = lambda layer: True) -> Callable[[Rule], Rule]:
    """Return a decorator that makes a function the rule of exactly this class, not of its subclasses.

    Args:
        layer_class: a subclass of `keras.Layer` that owns weights.
        supports:    whether the rule covers the options of a given layer; the others take the layer's Jacobian.

    Examples:
        A layer that multiplies [n, features] by a vector of weights:

            @register_rule(Scale)
            def scale(call: LayerCall) -> list[tf.Tensor]:
                return [call.inputs * call.cotangent]
    """

    def register(rule: Rule) -> Rule:
        _RULES[layer_class] = (rule, supports)
        return rule

    return register


def unregister_rule(layer_class: type) -> None:
    """Remove the rule of a class, whose layers take their Jacobian from then on."""
    _RULES.pop(layer_class, None)


def rule_of(layer: keras.Layer) -> Rule | None:
    """Return the rule for a layer, or None if there is none or its options are not covered."""
    rule, supports = _RULES.get(type(layer), (None, None))
    # With LoRA or quantization a layer does not multiply by its own kernel.
    plain = not getattr(layer, "lora_enabled", False) and not getattr(layer, "quantization_mode", None)
    return rule if rule is not None and supports is not None and plain and supports(layer) else None


def own_trainable(layer: keras.Layer) -> tuple[keras.Variable, ...]:
    """Return the trainable variables that belong to a layer itself, not to layers inside it."""
    return tuple(v for v in own_variables(layer) if v.trainable) if layer.trainable else ()


@register_rule(layers.Dense)
def dense(call: LayerCall) -> Gradients:
    """Return for the kernel Σ_t x_t ⊗ d_t, for the bias Σ_t d_t."""
    positions = math.prod(call.inputs.shape[1:-1])
    # [n, T, inputs] and [n, T, outputs]
    x, d = (tf.reshape(t, [t.shape[0], positions, t.shape[-1]]) for t in (call.inputs, call.cotangent))
    return _kernel_and_bias(call, lambda: OuterProduct(x, d))


@register_rule(layers.Conv2D, lambda layer: layer.data_format == "channels_last")
def convolution(call: LayerCall) -> Gradients:
    """Return for the kernel Σ_t (window of x at t) ⊗ d_t, for the bias Σ_t d_t."""
    layer = call.layer
    window = Window(
        size=tuple(layer.kernel_size),
        strides=tuple(layer.strides),
        dilation=tuple(layer.dilation_rate),
        before=_padding_before(call),
        groups=layer.groups,
    )
    return _kernel_and_bias(call, lambda: OuterProduct(call.inputs, call.cotangent, window))


@register_rule(layers.DepthwiseConv2D, lambda layer: layer.data_format == "channels_last")
def depthwise_convolution(call: LayerCall) -> Gradients:
    """Return for the kernel at offset o Σ_t x_{t+o} d_t, channel by channel, for the bias Σ_t d_t."""
    return _kernel_and_bias(call, lambda: _depthwise_kernel(call))


@register_rule(layers.BatchNormalization, lambda layer: not layer.renorm)
def batch_normalization(call: LayerCall) -> Gradients:
    """Return for the scale Σ_t x̂_t d_t, x̂ at moving statistics, for the centre Σ_t d_t."""
    layer, x = call.layer, call.inputs
    axis = layer.axis % x.shape.rank
    # Moving statistics have the shape [channels], whichever axis that is.
    shape = [x.shape[axis] if i == axis else 1 for i in range(x.shape.rank)]
    mean, variance = (call.value(v) for v in (layer.moving_mean, layer.moving_variance))
    centred = x - tf.reshape(mean, shape)
    deviation = tf.sqrt(variance + layer.epsilon)
    # The sums are divided, [n, channels], not the whole of x.
    return _scale_and_centre(call, lambda d: _sum_except(centred * d, [axis]) / deviation, [axis])


def _trailing_axis(layer: Any) -> bool:
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    rank = len(layer.build_shapes_dict["input_shape"]) if getattr(layer, "build_shapes_dict", None) else None
    last = {-1} if rank is None else {-1, rank - 1}
    return len(axis) == 1 and axis[0] in last and not getattr(layer, "rms_scaling", False)


@register_rule(layers.LayerNormalization, _trailing_axis)
def layer_normalization(call: LayerCall) -> Gradients:
    """Return for the scale Σ_t x̂_t d_t, x̂ over the last axis, for the centre Σ_t d_t."""
    x = call.inputs
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    hat = (x - mean) * tf.math.rsqrt(variance + call.layer.epsilon)
    last = x.shape.rank - 1
    return _scale_and_centre(call, lambda d: _sum_except(hat * d, [last]), [last])


def _kernel_and_bias(call: LayerCall, kernel: Callable[[], tf.Tensor | OuterProduct]) -> Gradients:
    bias = getattr(call.layer, "bias", None)
    last = call.cotangent.shape.rank - 1
    return [_sum_except(call.cotangent, [last]) if v is bias else kernel() for v in call.variables]


def _scale_and_centre(call: LayerCall, scale: Callable[[tf.Tensor], tf.Tensor], kept: Sequence[int]) -> Gradients:
    d, gamma = call.cotangent, call.layer.gamma
    return [scale(d) if v is gamma else _sum_except(d, kept) for v in call.variables]


def _depthwise_kernel(call: LayerCall) -> tf.Tensor:
    """Return the kernel's gradients, [n, rows, columns, channels, multiplier]."""
    layer, x = call.layer, call.inputs
    n, out_height, out_width, _ = call.cotangent.shape
    rows, columns = layer.kernel_size
    (top, left), (down, across), (step_y, step_x) = _padding_before(call), layer.dilation_rate, layer.strides
    # As far as the last window reads.
    bottom = max(0, (out_height - 1) * step_y + (rows - 1) * down + 1 - top - x.shape[1])
    right = max(0, (out_width - 1) * step_x + (columns - 1) * across + 1 - left - x.shape[2])
    padded = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
    d = tf.reshape(call.cotangent, [n, out_height, out_width, x.shape[3], layer.depth_multiplier])
    # At each offset [n, channels, multiplier]; stacked, [n, rows · columns, channels, multiplier].
    offsets = [
        tf.reduce_sum(
            padded[:, i * down :: step_y, j * across :: step_x][:, :out_height, :out_width, :, None] * d, axis=[1, 2]
        )
        for i in range(rows)
        for j in range(columns)
    ]
    return tf.reshape(tf.stack(offsets, axis=1), [n, rows, columns, x.shape[3], layer.depth_multiplier])


def _padding_before(call: LayerCall) -> tuple[int, int]:
    """Return the rows above and the columns to the left of the image, as TensorFlow pads it."""
    layer = call.layer
    if layer.padding == "valid":
        return 0, 0
    totals = [
        max(0, (call.cotangent.shape[a + 1] - 1) * layer.strides[a] + (size - 1) * layer.dilation_rate[a] + 1 - length)
        for a, (size, length) in enumerate(zip(layer.kernel_size, call.inputs.shape[1:3], strict=True))
    ]
    return totals[0] // 2, totals[1] // 2  # an odd one comes behind


def _sum_except(x: tf.Tensor, kept: Sequence[int]) -> tf.Tensor:
    """Return the sum over all axes but the first and the kept ones."""
    return tf.reduce_sum(x, axis=[a for a in range(1, x.shape.rank) if a not in kept])
