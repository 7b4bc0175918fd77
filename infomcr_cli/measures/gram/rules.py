"""The registry of closed-form rules: how the per-sample gradient of a layer follows from one call of it.

A rule is given a `LayerCall` (input, cotangent of the output) and returns, for each of the layer's own trainable
variables, its gradient for every sample, [n, *variable.shape]: as a tensor, or as an `OuterProduct` that is only
multiplied out where that pays. Layers without a rule fall back to a vectorised Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.outer_product import OuterProduct
from infomcr_cli.models.keras_internals import own_variables

Gradients = Sequence["tf.Tensor | OuterProduct"]


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer, as a rule sees it.

    Args:
        layer:     the layer.
        inputs:    its first argument, [n, ...].
        cotangent: derivative of the losses by its output, [n, ...]; by the input of its `activation` where it has one.
        variables: its own trainable variables, in the order in which gradients are expected.
        values:    the tensors that stand for all of the model's variables, by identity; use `value`.
    """

    layer: keras.Layer
    inputs: Any
    cotangent: tf.Tensor
    variables: tuple[keras.Variable, ...]
    values: dict[int, tf.Tensor]

    def value(self, variable: keras.Variable) -> tf.Tensor:
        """Return the tensor that stands for a variable, in the precision of the measurement."""
        return self.values.get(id(variable), tf.cast(tf.convert_to_tensor(variable), self.cotangent.dtype))


Rule = Callable[[LayerCall], Gradients]
Support = Callable[[Any], bool]
_RULES: dict[type, tuple[Rule, Support]] = {}


def register_rule(layer_class: type, supports: Support = lambda layer: True) -> Callable[[Rule], Rule]:
    """Return a decorator that makes a function the rule of exactly this class; subclasses are not served.

    Args:
        layer_class: a subclass of `keras.Layer` that owns weights.
        supports:    says whether a given layer's options are covered; other layers of the class fall back.

    Example:
        @register_rule(Scale)
        def scale(call: LayerCall) -> list[tf.Tensor]:
            return [tf.reduce_sum(call.inputs * call.cotangent, axis=1)]
    """

    def register(rule: Rule) -> Rule:
        _RULES[layer_class] = (rule, supports)
        return rule

    return register


def unregister_rule(layer_class: type) -> None:
    """Forget the rule of a class, which then falls back."""
    _RULES.pop(layer_class, None)


def rule_of(layer: keras.Layer) -> Rule | None:
    """Return the rule for a layer, or None where it has none or its options are not covered."""
    rule, supports = _RULES.get(type(layer), (None, None))
    plain = not getattr(layer, "lora_enabled", False) and not getattr(layer, "quantization_mode", None)
    return rule if rule is not None and supports is not None and plain and supports(layer) else None


def rule_classes() -> list[type]:
    """Return the classes that have a rule."""
    return list(_RULES)


def own_trainable(layer: keras.Layer) -> tuple[keras.Variable, ...]:
    """Return the trainable variables that a layer holds itself, not those of layers inside it."""
    return tuple(v for v in own_variables(layer) if v.trainable) if layer.trainable else ()
