"""One forward and one backward pass over a block of independent samples, and each weight's part in each gradient.

The backward pass goes to the outputs of the recorded calls only, not to the weights: per-sample weight gradients
follow from each call's input and cotangent, by rule or by the layer's own Jacobian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.accumulate import BlockResult
from infomcr_cli.measures.gram.jacobian import Setting, chunk_signature, forward, leading_size
from infomcr_cli.measures.gram.layer_jacobian import layer_gradients
from infomcr_cli.measures.gram.layer_rules import LayerCall, own_trainable, rule_of
from infomcr_cli.measures.gram.outer_product import Contribution, OuterProduct, Rows
from infomcr_cli.measures.gram.products import Products
from infomcr_cli.measures.gram.trace import GradientPlan, LayerTracer, TracedCall, plan_gradient
from infomcr_cli.measures.stateless import measurement_scope

# Share of all tensors of a pass that are alive at one time: set so that Wide ResNet 28-2 is one block of 100 in 2 GB.
ALIVE = 0.45
Gradient: TypeAlias = "tf.Tensor | OuterProduct"


class BlockPass:
    """A compiled function from a block of samples to the contributions of all weights that have a rule or a layer.

    Args:
        setting:   model, precision, scale of the logits; batch norm's mode must be `inference`.
        weights:   all floating-point variables, whose values are passed to each call.
        variables: the ones to differentiate by.
        block:     a block of samples that gives the shapes; all later blocks have the same.
        products:  where contributions are held.
    """

    def __init__(
        self,
        setting: Setting,
        weights: Sequence[keras.Variable],
        variables: Sequence[keras.Variable],
        block: Any,
        products: Products,
    ) -> None:
        self._held = products.held
        self.plans: list[GradientPlan] = []
        self._setting, self._weights, self._variables = setting, list(weights), list(variables)
        self.size = leading_size(block)
        self.num_classes = 0
        self._shapes: list[list[OuterProduct | None]] = []
        signature = chunk_signature(self._weights, setting.precision, block)
        self._function = tf.function(self._trace, autograph=False).get_concrete_function(*signature)
        tensors = [t for op in self._function.graph.get_operations() for t in op.outputs if t.dtype.is_floating]
        all_bytes = float(sum(t.dtype.size * (t.shape.num_elements() or 0) for t in tensors))
        self.sample_bytes = ALIVE * all_bytes / self.size

    def __call__(self, values: Sequence[tf.Tensor], images: Any, labels: Any) -> BlockResult:
        """Return the losses and, for each variable, the contributions of its calls.

        A weight that needs the Jacobian of the whole model has none.
        """
        derivative, tensors = self._function(list(values), images, labels)
        arrays = map(self._held, tensors)  # in the order in which `_trace` lists them

        def contribution(shape: OuterProduct | None) -> Contribution:
            return Rows(next(arrays)) if shape is None else OuterProduct(next(arrays), next(arrays), shape.window)

        contributions = [[contribution(shape) for shape in shapes] for shapes in self._shapes]
        return BlockResult(derivative.loss.numpy(), derivative.log_length.numpy(), contributions)

    def _trace(self, values: list[tf.Tensor], images: Any, labels: tf.Tensor) -> Any:
        """Return the loss derivative and the tensors of all contributions, in one list."""
        tracer = LayerTracer(tf.compat.v1.get_default_graph())
        setting, mapping = self._setting, list(zip(self._weights, values, strict=True))
        by_identity = {id(v): t for v, t in mapping}
        wanted = [by_identity[id(v)] for v in self._variables]
        with (
            measurement_scope(setting.model, mapping, setting.precision, "inference"),
            tracer.watching(setting.model),
        ):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(wanted)
                logits, derivative = forward(setting, images, labels)  # [n, C]
                self.num_classes = logits.shape[1]
            self.plans = [plan_gradient(tracer, v, t, self.size) for v, t in zip(self._variables, wanted, strict=True)]
            with tracer.paused():
                cotangents = _cotangents(self.plans, tape, logits, derivative.direction)
                parts = _gradients(tracer, self.plans, by_identity, cotangents)
        self._shapes = [[p if isinstance(p, OuterProduct) else None for p in of_one] for of_one in parts]
        flat = [p for of_one in parts for p in of_one]
        tensors = [t for p in flat for t in ((p.left, p.right) if isinstance(p, OuterProduct) else (p,))]
        return derivative, tensors


def _cotangents(
    plans: Sequence[GradientPlan], tape: tf.GradientTape, logits: tf.Tensor, direction: tf.Tensor
) -> dict[int, tf.Tensor]:
    """Return the derivative along the unit `direction` [n, C] by each output that a plan needs, by its identity."""
    outputs = [call.rule_output() for plan in plans for call in plan.by_rule]
    outputs += [y for plan in plans for call in plan.by_layer for y in call.output_tensors()]
    sources = {id(y): y for y in outputs}  # each once
    found = tape.gradient(
        logits, list(sources.values()), tf.cast(direction, logits.dtype), unconnected_gradients="zero"
    )
    return dict(zip(sources, found, strict=True))


def _gradients(
    tracer: LayerTracer,
    plans: Sequence[GradientPlan],
    values: dict[int, tf.Tensor],
    cotangents: dict[int, tf.Tensor],
) -> list[list[Gradient]]:
    """Return for each plan the per-sample gradients of its weight, one for each call, [n, *weight.shape]."""
    found: dict[tuple[TracedCall, int], Gradient] = {}
    for call in {call: None for plan in plans for call in plan.by_rule}:
        rule, variables = rule_of(call.layer), own_trainable(call.layer)
        assert rule is not None
        cotangent = cotangents[id(call.rule_output())]
        # A norm that casts for itself may be given another type than it computes in.
        inputs = tf.cast(call.input_tensors()[0], cotangent.dtype)
        gradients = rule(LayerCall(call.layer, inputs, cotangent, variables, values))
        found |= {(call, id(v)): g for v, g in zip(variables, gradients, strict=True)}
    for call in {call: None for plan in plans for call in plan.by_layer}:
        variables = tuple(plan.variable for plan in plans if call in plan.by_layer)
        outputs, weights = [cotangents[id(y)] for y in call.output_tensors()], [values[id(v)] for v in variables]
        rows = layer_gradients(call, outputs, weights, tracer.operation_types(call))
        found |= {(call, id(v)): g for v, g in zip(variables, rows, strict=True)}
    return [[found[call, id(plan.variable)] for call in (*plan.by_rule, *plan.by_layer)] for plan in plans]
