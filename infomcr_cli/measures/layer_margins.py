"""How far samples are from the decision boundary at the input and at hidden layers of a network, to first order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.batch_norm_folding import LINEAR, is_identity
from infomcr_cli.measures.layer_graph import Call, layer_graph
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.stateless import is_floating
from infomcr_cli.models.keras_internals import all_layers, replaced

Array = NDArray[np.float64]
INPUT = "input"
HIDDEN = 3  # layers: the first, the middle and the last
RELATIVE = 1e-12  # variation that rounding in float32 gives equal samples, over their mean squared length


@dataclass(frozen=True)
class PlaceMargins:
    """Margins at one place of a network.

    Args:
        place:     `input` or the name of a layer, whose output is meant.
        margins:   d_i of the samples whose margin changes with x, [n].
        variation: total variation ν = Σ_j Var_i x_ij over the samples.
        flat:      samples that are left out, for their margin has no gradient by x.
    """

    place: str
    margins: Array
    variation: float
    flat: int

    @property
    def normalised(self) -> Array:
        """d/√ν, without unit: it stays if x is scaled."""
        return self.margins / np.sqrt(self.variation)


def place_margins(surface: LossSurface) -> list[PlaceMargins]:
    """Return d_i = (z_y - z_k) / ‖∇_x (z_y - z_k)‖₂ at the input and at three hidden layers; k is the best other class.

    x is the input, or the output of the hidden layer, as one vector. A misclassified sample has a negative margin.
    Hidden layers are taken from those that everything passes through, from the first layer with weights on; of
    a network that is no graph of layers, from its convolutions and dense layers in the order of their calls. Places
    where nothing varies, or where no margin has a gradient, are left out.

    Source: Jiang et al., ICLR 2019, arXiv:1810.00113.
    """
    parts = surface.map_samples(_distances)
    return [place for index in range(len(parts[0])) if (place := _joined([part[index] for part in parts])) is not None]


def _joined(parts: list[Any]) -> PlaceMargins | None:
    """Join name, difference of logits, length of its gradient, sum and sum of squares of x of all parts."""
    differences, lengths = (np.concatenate([part[i] for part in parts]) for i in (1, 2))  # [N]
    count, total, squares = len(differences), sum(part[3] for part in parts), sum(part[4] for part in parts)
    # Σ_j (mean x_j² − (mean x_j)²), of sums [F]: the samples come in parts.
    variation = float(np.sum(squares / count - (total / count) ** 2))
    rounding = max(RELATIVE, count * np.finfo(np.float64).eps) * float(np.sum(squares)) / count
    usable = lengths > 0
    if not (variation > rounding and usable.any() and np.isfinite(variation)):
        return None
    margins = differences[usable] / lengths[usable]
    return PlaceMargins(parts[0][0].item().decode(), margins, variation, count - int(usable.sum()))


def _distances(model: keras.Model, samples: Any) -> list[list[tf.Tensor]]:
    """Return for each place its name, the differences of logits, the lengths of their gradients, and moments of x."""
    images, labels = samples
    inputs = [x for x in keras.tree.flatten(images) if x.dtype.is_floating]
    seen: list[tuple[str, tf.Tensor]] = []
    with tf.GradientTape(watch_accessed_variables=False) as tape, ExitStack() as stack:
        tape.watch(inputs)
        for layer in _candidates(model):
            stack.enter_context(replaced(layer, "call", _recorded(layer, seen, tape)))
        logits = tf.cast(model(images, training=False), tf.float64)  # [n, C]
        difference = _difference(logits, labels)
    hidden = [(name, output) for name, output in seen if output is not logits]
    chosen = sorted({round(p) for p in np.linspace(0, len(hidden) - 1, min(HIDDEN, len(hidden)))}) if hidden else []
    places = [(INPUT, inputs)] * bool(inputs) + [(hidden[i][0], [hidden[i][1]]) for i in chosen]
    # The gradient of the sum over samples: row i is that of sample i, on which no other one depends.
    gradients = tape.gradient(difference, [tensors for _, tensors in places], unconnected_gradients="zero")
    return [_at(name, tensors, difference, of) for (name, tensors), of in zip(places, gradients, strict=True)]


def _difference(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return z_y - max_{k≠y} z_k, [n]."""
    is_true = tf.one_hot(labels, logits.shape[1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.where(is_true, tf.constant(-np.inf, tf.float64), logits)
    return tf.reduce_sum(tf.where(is_true, logits, 0.0), axis=1) - tf.reduce_max(others, axis=1)


def _at(name: str, tensors: list[tf.Tensor], difference: tf.Tensor, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    rows, x = _rows(gradients), _rows(tensors)  # [n, F]
    return [
        tf.constant(name),
        difference,
        tf.norm(rows, axis=1),
        tf.reduce_sum(x, axis=0),
        tf.reduce_sum(x**2, axis=0),
    ]


def _rows(tensors: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.cast(tf.reshape(t, [tf.shape(t)[0], -1]), tf.float64) for t in tensors], axis=1)


def _recorded(layer: keras.Layer, seen: list[tuple[str, tf.Tensor]], tape: tf.GradientTape) -> Callable[..., Any]:
    call = layer.call

    def call_and_record(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        if tf.is_tensor(output) and output.dtype.is_floating and layer.name not in dict(seen):  # its first call
            tape.watch(output)
            seen.append((layer.name, output))
        return output

    return call_and_record


def _candidates(model: keras.Model) -> list[keras.Layer]:
    try:
        calls = layer_graph(model).calls
    except InputError:
        return [layer for layer in all_layers(model) if isinstance(layer, LINEAR)]
    return [layer for layer in _cuts(calls) if not is_identity(layer)]


def _cuts(calls: tuple[Call, ...]) -> list[keras.Layer]:
    """Return layers whose output everything that comes later is computed from, except the last, in their order."""
    uses: dict[int, int] = {}
    for call in calls:
        for edge in call.inputs:
            uses[id(edge)] = uses.get(id(edge), 0) + 1
    weighted = [any(map(is_floating, getattr(call.operation, "weights", []))) for call in calls]
    first = weighted.index(True) if True in weighted else 0
    unread: dict[int, int] = {}  # readers that are still to come, by tensor
    # A call is a cut if its outputs are the only tensors that calls after it still read.
    found = []
    for index, call in enumerate(calls[:-1]):
        for edge in call.inputs:
            unread[id(edge)] = unread.get(id(edge), uses[id(edge)]) - 1
        unread.update({id(edge): uses[id(edge)] for edge in call.outputs if id(edge) in uses})
        is_cut = [key for key, count in unread.items() if count] == [id(edge) for edge in call.outputs]
        once = sum(other.operation is call.operation for other in calls) == 1
        if index >= first and is_cut and once and isinstance(call.operation, keras.Layer):
            found.append(call.operation)
    return found
