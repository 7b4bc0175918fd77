"""Rules that map the input channels of each kind of layer to its output channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import keras
import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.alignment_channels import ZERO, Channels, ChannelSlots
from infomcr_cli.measures.batch_norm_folding import CONVOLUTIONS, channel_axis, is_identity
from infomcr_cli.measures.layer_graph import Call, is_of_keras
from infomcr_cli.models.keras_internals import own_variables

L = keras.layers
Given = Sequence[Channels | None]  # None: no axis of the tensor can be permuted
Rule = Callable[[ChannelSlots, Call, Given], Channels | None]


def outputs_of(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    """Return the channels of a call's outputs, and bind its weights to those of its inputs.

    Raises:
        InputError: the layer has no rule.
    """
    layer = call.operation
    if isinstance(layer, keras.Layer) and not is_of_keras(layer):
        raise _refused(call, "it has a custom computation")
    # Bare operations and the layers of keras.applications have no public classes.
    if not isinstance(layer, keras.Layer) or type(layer).__module__.startswith("keras.src.applications"):
        rule = _BY_NAME.get(type(layer).__name__)
    else:
        rule = next((rule for kinds, rule in _BY_CLASS if isinstance(layer, kinds)), None)
    if rule is None and is_identity(layer):
        rule = _unchanged
    if rule is None:
        raise _refused(call, "there is no rule for it")
    _check_activation(call)
    return rule(slots, call, given)


def _refused(call: Call, why: str) -> InputError:
    layer = call.operation
    return InputError(
        "alignment does not support every layer",
        received=f"{layer.name} ({type(layer).__name__}): {why}",
        advice="Leave --align out.",
    )


def _check_activation(call: Call) -> None:
    """Raise unless an activation commutes with permutations of the channels.

    Those of Keras take each channel by itself, or all alike as the softmax; only `glu` takes them in pairs.
    """
    activation = getattr(call.operation, "activation", None)
    if activation is None:
        return
    is_known = str(getattr(activation, "__module__", "")).startswith("keras.src.activations")
    if not is_known or getattr(activation, "__name__", "") == "glu":
        raise _refused(call, f"its activation {getattr(activation, '__name__', activation)}")


def _convolution(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    layer = call.operation
    axis = channel_axis(layer, len(call.inputs[0].shape))
    inputs = slots.along(given[0], call.inputs[0], axis)
    if layer.groups == 1:  # kernel [*window, inputs, outputs]
        slots.bind(layer.kernel, -2, inputs)
        outputs = slots.bind(layer.kernel, -1)
    elif layer.groups == len(inputs) == layer.filters:  # each channel by itself: kernel [*window, 1, channels]
        outputs = slots.bind(layer.kernel, -1, inputs)
    else:
        raise _refused(call, f"a grouped convolution, {layer.groups} groups")
    return _with_bias(slots, layer, axis, outputs)


def _transposed_convolution(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    layer = call.operation
    axis = channel_axis(layer, len(call.inputs[0].shape))
    # Kernel [*window, outputs, inputs], the other way round than that of a convolution.
    slots.bind(layer.kernel, -1, slots.along(given[0], call.inputs[0], axis))
    return _with_bias(slots, layer, axis, slots.bind(layer.kernel, -2))


def _depthwise_convolution(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    layer = call.operation
    axis = channel_axis(layer, len(call.inputs[0].shape))
    _check_multiplier(call)
    inputs = slots.along(given[0], call.inputs[0], axis)
    # Kernel [*window, channels, 1].
    return _with_bias(slots, layer, axis, slots.bind(layer.kernel, -2, inputs))


def _separable_convolution(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    layer = call.operation
    axis = channel_axis(layer, len(call.inputs[0].shape))
    _check_multiplier(call)
    inputs = slots.along(given[0], call.inputs[0], axis)
    slots.bind(layer.depthwise_kernel, -2, inputs)
    slots.bind(layer.pointwise_kernel, -2, inputs)
    return _with_bias(slots, layer, axis, slots.bind(layer.pointwise_kernel, -1))


def _check_multiplier(call: Call) -> None:
    if call.operation.depth_multiplier != 1:
        raise _refused(call, f"depth_multiplier={call.operation.depth_multiplier}")


def _dense(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    layer, axis = call.operation, len(call.inputs[0].shape) - 1
    if given[0] is not None and given[0].axis != axis:
        raise _refused(call, "its input has the channels on another axis")
    slots.bind(layer.kernel, 0, slots.along(given[0], call.inputs[0], axis))
    return _with_bias(slots, layer, axis, slots.bind(layer.kernel, -1))


def _with_bias(slots: ChannelSlots, layer: Any, axis: int, outputs: Any) -> Channels:
    if layer.bias is not None:
        slots.bind(layer.bias, 0, outputs)
    return Channels(axis, outputs)


def _norm(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    """Return the channels of a batch norm or group norm, which owns only vectors of one number for each channel."""
    layer, edge = call.operation, call.inputs[0]
    axis = int(layer.axis) % len(edge.shape)
    if given[0] is not None and given[0].axis != axis:
        raise _refused(call, "it normalizes another axis than that of the channels")
    channels = slots.along(given[0], edge, axis)
    for variable in own_variables(layer):
        if tuple(variable.shape) == (len(channels),):
            slots.bind(variable, 0, channels)
    groups = getattr(layer, "groups", 1)
    if 1 < groups < len(channels):
        # Channels of one group share mean and variance: [C], the number of the group of each.
        slots.part(channels, np.repeat(np.arange(groups), len(channels) // groups))
    return Channels(axis, channels)


def _layer_norm(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    layer, edge = call.operation, call.inputs[0]
    axes = [int(axis) % len(edge.shape) for axis in layer.axis]
    axis = axes[-1] if given[0] is None else given[0].axis
    if axis not in axes:
        raise _refused(call, "it normalizes another axis than that of the channels")
    channels = slots.along(given[0], edge, axis)
    for variable in own_variables(layer):
        slots.bind(variable, axes.index(axis), channels)
    return Channels(axis, channels)


def _scaled(slots: ChannelSlots, call: Call, given: Given) -> Channels:
    """Return the channels of a layer with a factor for each of them, on the last axis."""
    axis = len(call.inputs[0].shape) - 1
    channels = slots.along(given[0], call.inputs[0], axis)
    return Channels(axis, slots.bind(call.operation.gamma, 0, channels))


def _rectified_by_slopes(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    alpha, edge = call.operation.alpha, call.inputs[0]  # slopes, of the shape of a sample, or 1 along shared axes
    axis = len(edge.shape) - 1 if given[0] is None else given[0].axis
    channels = slots.along(given[0], edge, axis)
    if alpha.shape[axis - 1] == len(channels):
        slots.bind(alpha, axis - 1, channels)
    return Channels(axis, channels)


def _elementwise(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    """Return the channels after an operation that treats each one alike; 0 need not stay 0."""
    if given[0] is None:
        return None
    if any(np.size(constant) != 1 for constant in call.constants if not isinstance(constant, str)):
        raise _refused(call, "an array that is not a weight")
    return Channels(given[0].axis, slots.along(given[0], call.inputs[0], given[0].axis))


def _unchanged(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    return given[0]


def _over_space(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    """Return the channels after pooling and the like, which takes each by itself; they stay on their axis."""
    channels, layer = given[0], call.operation
    if channels is not None and channels.axis != channel_axis(layer, len(call.inputs[0].shape)):
        raise _refused(call, "the channels are on another axis than its own")
    return channels


def _pooled_over_space(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    channels = _over_space(slots, call, given)
    if channels is None:
        return None
    return channels if len(call.outputs[0].shape) > 2 else Channels(1, channels.slots)


def _rescaled(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    layer = call.operation
    if given[0] is not None and (np.size(layer.scale) != 1 or np.size(layer.offset) != 1):
        raise _refused(call, "a scale for each channel that is no weight")
    return _elementwise(slots, call, given)


def _of_images(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    if given[0] is not None:
        raise _refused(call, "it is not at the input")
    return None


def _merged(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    """Return the channels of sums, products and extremes: those of all terms are tied.

    A term of one channel is broadcast, and goes with any.
    """
    if len(given) == 1:
        return _elementwise(slots, call, given)
    axes = {channels.axis for channels in given if channels is not None}
    if not axes:
        return None
    if len(axes) > 1 or len({len(edge.shape) for edge in call.inputs}) > 1:
        raise _refused(call, "its terms have the channels on different axes")
    axis = axes.pop()
    terms = [
        slots.along(None, edge, axis) if channels is None else channels.slots
        for channels, edge in zip(given, call.inputs, strict=True)
        if edge.shape[axis] == call.outputs[0].shape[axis]  # else one channel, which is broadcast
    ]
    return Channels(axis, reduce(slots.tie, terms))


def _concatenated(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    axis = int(call.operation.axis) % len(call.inputs[0].shape)
    axes = {channels.axis for channels in given if channels is not None}
    if not axes:
        return None
    if axes != {axis}:
        return _merged(slots, call, given)
    parts = [
        slots.along(None, edge, axis) if channels is None else channels.slots
        for channels, edge in zip(given, call.inputs, strict=True)
    ]
    return Channels(axis, np.concatenate(parts))


def _padded(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    """Return the channels after `pad` of Keras; those that it adds are 0."""
    channels, operation = given[0], call.operation
    if channels is None:
        return None
    rank = len(call.inputs[0].shape)
    # One pair of widths stands for all axes.
    widths = operation.pad_width if len(operation.pad_width) == rank else [*operation.pad_width] * rank
    before, after = widths[channels.axis]
    if (before or after) and (operation.mode != "constant" or (call.constants and any(map(np.any, call.constants)))):
        raise _refused(call, "channels that are padded with a value other than 0")
    ends = [np.full(count, ZERO) for count in (before, after)]
    return Channels(channels.axis, np.concatenate([ends[0], channels.slots, ends[1]]))


def _reshaped(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    """Follow every entry of a sample to its new place."""
    channels = given[0]
    if channels is None:
        return None
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    if None in (*before, *after):
        raise _refused(call, "an unknown shape")
    place = channels.axis - 1
    line = channels.slots.reshape([-1 if axis == place else 1 for axis in range(len(before))])
    # A sample with the slot of each entry for its value.
    whole = np.broadcast_to(line, before)  # type: ignore[arg-type]
    if isinstance(call.operation, L.Flatten) and call.operation.data_format == "channels_first":
        whole = np.moveaxis(whole, 0, -1)
    whole = whole.reshape(after)  # type: ignore[arg-type]
    for axis in range(whole.ndim):
        lines = np.moveaxis(whole, axis, 0).reshape(whole.shape[axis], -1)  # [length, rest]
        # The channels are on this axis if each entry of it holds one slot only.
        if (lines == lines[:, :1]).all():
            return Channels(axis + 1, lines[:, 0].copy())
    raise _refused(call, "channels that end up on two axes")


def _transposed(slots: ChannelSlots, call: Call, given: Given) -> Channels | None:
    if given[0] is None:
        return None
    return Channels(1 + list(call.operation.dims).index(given[0].axis), given[0].slots)


def _named(*words: str) -> tuple[type, ...]:
    """Return the layers of Keras whose names hold one of some words."""
    return tuple(getattr(L, name) for name in sorted(dir(L)) if any(word in name for word in words))


_MERGING = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
_BY_CLASS: tuple[tuple[tuple[type, ...], Rule], ...] = (
    (_named("SeparableConv"), _separable_convolution),
    (_named("DepthwiseConv"), _depthwise_convolution),
    ((L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose), _transposed_convolution),
    (CONVOLUTIONS, _convolution),
    ((L.Dense,), _dense),
    ((L.BatchNormalization, L.GroupNormalization), _norm),
    ((L.LayerNormalization,), _layer_norm),
    ((L.PReLU,), _rectified_by_slopes),
    ((L.ReLU, L.LeakyReLU, L.Identity, L.Dropout, *_named("SpatialDropout")), _unchanged),
    ((L.ELU, L.Activation, L.Softmax), _elementwise),
    (_named("GlobalMax", "GlobalAverage"), _pooled_over_space),
    (_named("MaxPooling", "AveragePooling", "ZeroPadding", "Cropping", "UpSampling"), _over_space),
    ((L.Rescaling,), _rescaled),
    ((L.Normalization, L.Resizing, L.CenterCrop), _of_images),
    (_MERGING, _merged),
    ((L.Concatenate,), _concatenated),
    ((L.Flatten, L.Reshape), _reshaped),
    ((L.Permute,), _transposed),
)
_UNARY = ("Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Gelu", "Elu", "HardSigmoid", "HardSilu", "LeakyRelu", "Softplus")
_BY_NAME: dict[str, Rule] = {
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"), _merged),
    **dict.fromkeys((*_UNARY, "Abs", "Square", "Negative", "Cast", "Identity"), _elementwise),
    "CustomScaleLayer": _merged,
    "StochasticDepth": _unchanged,
    "LayerScale": _scaled,
    "Pad": _padded,
}
