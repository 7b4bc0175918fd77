"""Decide, once a forward pass is recorded, what serves each trainable weight: a rule, its layer, or the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.rules import own_trainable, rule_of
from infomcr_cli.measures.gram.trace import LayerTracer, TracedCall, has_leading

GradientMethod = Literal["rule", "layer", "model"]


@dataclass(frozen=True)
class GradientPlan:
    """What serves one weight.

    Args:
        variable:        the weight.
        gradient_method: `rule` (closed form), `layer` (Jacobian of its layer), `model` (Jacobian of the whole model).
        by_rule:         calls for which a rule gives the gradient.
        by_layer:        calls for which their own Jacobian gives it.
    """

    variable: keras.Variable
    gradient_method: GradientMethod
    by_rule: tuple[TracedCall, ...] = ()
    by_layer: tuple[TracedCall, ...] = ()


def assignments(
    recorder: LayerTracer, variables: Sequence[keras.Variable], tensors: Sequence[tf.Tensor], samples: int
) -> list[GradientPlan]:
    """Return one assignment for each variable.

    Args:
        tensors: what stood for each variable in the recorded pass.
        samples: number of samples in that pass, by which tensors with one entry a sample are known.
    """
    return [_assign(recorder, v, t, samples) for v, t in zip(variables, tensors, strict=True)]


def _assign(recorder: LayerTracer, variable: keras.Variable, tensor: tf.Tensor, samples: int) -> GradientPlan:
    by_rule, by_layer = [], []
    for node in recorder.uses(tensor):
        if node is not None and _has_rule(recorder, node, variable, samples):
            by_rule.append(node)
            continue
        serving = _nearest_separable(recorder, node, samples)
        if serving is None:
            return GradientPlan(variable, "model")
        by_layer.append(serving)
    outer = _outermost(by_layer)  # the product of an outer call covers the calls inside it
    inner = [n for n in by_rule if not any(around in outer for around in n.lineage())]
    return GradientPlan(variable, "layer" if outer else "rule", tuple(inner), tuple(outer))


def _has_rule(recorder: LayerTracer, node: TracedCall, variable: keras.Variable, samples: int) -> bool:
    own = any(v is variable for v in own_trainable(node.layer))
    return own and rule_of(node.layer) is not None and _is_per_sample(recorder, node, samples, first_input_only=True)


def _nearest_separable(recorder: LayerTracer, node: TracedCall | None, samples: int) -> TracedCall | None:
    """The innermost call around a use, short of the whole model, that has one entry a sample on both of its sides."""
    for candidate in node.lineage() if node is not None else ():
        if candidate.parent is not None and _is_per_sample(recorder, candidate, samples):
            return candidate
    return None


def _is_per_sample(recorder: LayerTracer, node: TracedCall, samples: int, first_input_only: bool = False) -> bool:
    inputs, outputs = node.input_tensors(), node.output_tensors()
    if first_input_only:
        inputs = inputs[:1]
    leading = [x for x in inputs if x.shape.rank and x.shape[0] == samples]
    reachable = all(getattr(x, "graph", None) is recorder.graph for x in inputs)
    return bool(leading) and bool(outputs) and reachable and has_leading(outputs, samples, recorder.graph)


def _outermost(nodes: Sequence[TracedCall]) -> list[TracedCall]:
    """Drop calls that lie inside other ones of the list, and repetitions."""
    unique = list(dict.fromkeys(nodes))
    return [n for n in unique if not any(around in unique for around in n.lineage() if around is not n)]
