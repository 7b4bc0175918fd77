"""One forward and one backward pass over a block of independent samples, and each weight's part in each gradient.

The backward pass goes to the outputs of the recorded calls only, not to the weights: per-sample weight gradients
follow from each call's input and cotangent, by rule or by the layer's own Jacobian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.accumulate import BlockResult
from infomcr_cli.measures.gram.assignment import GradientPlan, assignments
from infomcr_cli.measures.gram.jacobian import Setting, array_of, chunk_signature, forward, leading_size
from infomcr_cli.measures.gram.layer_jacobian import layer_gradients
from infomcr_cli.measures.gram.outer_product import Contribution, OuterProduct, Rows
from infomcr_cli.measures.gram.rules import LayerCall, own_trainable, rule_of
from infomcr_cli.measures.gram.trace import LayerTracer, TracedCall
from infomcr_cli.measures.stateless import measurement_scope

# Share of all tensors of a pass that are held at one time: set so that Wide ResNet 28-2 is one block of 100 in 2 GB.
ALIVE = 0.45


class BlockPass:
    """A compiled function from a block of samples to contributions of all weights that the whole model need not serve.

    Args:
        setting:   model, precision, scale of the logits; batch norm's mode must be `inference`.
        weights:   all floating-point variables, whose values are passed to each call.
        variables: the ones to differentiate by.
        block:     a block of samples that gives the shapes; all later blocks have the same.
    """

    def __init__(
        self, setting: Setting, weights: Sequence[keras.Variable], variables: Sequence[keras.Variable], block: Any
    ) -> None:
        self.assignments: list[GradientPlan] = []
        self._setting, self._weights, self._variables = setting, list(weights), list(variables)
        self.size = leading_size(block)
        self.num_classes = 0
        self._shapes: list[list[OuterProduct | None]] = []
        signature = chunk_signature(self._weights, setting.precision, block)
        self._function = tf.function(self._trace, autograph=False).get_concrete_function(*signature)
        self.sample_bytes = ALIVE * _float_bytes(self._function.graph) / self.size

    def __call__(self, values: Sequence[tf.Tensor], images: Any, labels: Any) -> BlockResult:
        """Return the losses and, for each variable, the contributions of its calls (none where the model serves it)."""
        derivative, tensors = self._function(list(values), images, labels)
        remaining = iter(tensors)
        contributions = [[_with_arrays(shape, remaining) for shape in shapes] for shapes in self._shapes]
        return BlockResult(derivative.loss.numpy(), derivative.log_length.numpy(), contributions)

    def _trace(self, values: list[tf.Tensor], images: Any, labels: tf.Tensor) -> Any:
        recorder = LayerTracer(tf.compat.v1.get_default_graph())
        setting, mapping = self._setting, list(zip(self._weights, values, strict=True))
        by_identity = {id(v): t for v, t in mapping}
        wanted = [by_identity[id(v)] for v in self._variables]
        with (
            measurement_scope(setting.model, mapping, setting.precision, "inference"),
            recorder.watching(setting.model),
        ):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(wanted)
                logits, derivative = forward(setting, images, labels)
                self.num_classes = logits.shape[1]
            self.assignments = assignments(recorder, self._variables, wanted, self.size)
            backward = _Backward(recorder, by_identity, self.assignments, tape, logits, derivative.direction)
            with recorder.paused():
                parts = [backward.contributions(a) for a in self.assignments]
        self._shapes = [[p if isinstance(p, OuterProduct) else None for p in of_one] for of_one in parts]
        tensors = [t for of_one in parts for p in of_one for t in _tensors(p)]
        return derivative, tensors


class _Backward:
    """Cotangents of the calls that serve some weight, and what follows from them, while tracing."""

    def __init__(
        self,
        recorder: LayerTracer,
        values: dict[int, tf.Tensor],
        plan: Sequence[GradientPlan],
        tape: tf.GradientTape,
        logits: tf.Tensor,
        direction: tf.Tensor,
    ) -> None:
        self._recorder, self._values, self._plan = recorder, values, plan
        nodes = [(n, True) for a in plan for n in a.by_rule] + [(n, False) for a in plan for n in a.by_layer]
        sources = {id(t): t for node, ruled in nodes for t in _outputs(node, ruled)}
        gradients = tape.gradient(
            logits, list(sources.values()), tf.cast(direction, logits.dtype), unconnected_gradients="zero"
        )
        self._cotangents = dict(zip(sources, gradients, strict=True))
        self._ruled: dict[int, dict[int, Any]] = {}
        self._jacobians: dict[int, dict[int, tf.Tensor]] = {}

    def contributions(self, assignment: GradientPlan) -> list[Any]:
        variable = id(assignment.variable)
        ruled = [self._by_rule(node)[variable] for node in assignment.by_rule]
        return ruled + [self._by_layer(node)[variable] for node in assignment.by_layer]

    def _by_rule(self, node: TracedCall) -> dict[int, Any]:
        if id(node) not in self._ruled:
            rule, variables = rule_of(node.layer), own_trainable(node.layer)
            assert rule is not None
            cotangent = self._cotangents[id(_outputs(node, ruled=True)[0])]
            # A norm that casts for itself may be given another type than it computes in.
            inputs = tf.cast(node.input_tensors()[0], cotangent.dtype)
            call = LayerCall(node.layer, inputs, cotangent, variables, self._values)
            self._ruled[id(node)] = dict(zip(map(id, variables), rule(call), strict=True))
        return self._ruled[id(node)]

    def _by_layer(self, node: TracedCall) -> dict[int, tf.Tensor]:
        if id(node) not in self._jacobians:
            variables = [a.variable for a in self._plan if node in a.by_layer]
            cotangents = [self._cotangents[id(t)] for t in _outputs(node, ruled=False)]
            weights = [self._values[id(v)] for v in variables]
            kinds = {op.type for op in self._recorder.operations(node)}
            rows = layer_gradients(node, cotangents, weights, kinds)
            self._jacobians[id(node)] = dict(zip(map(id, variables), rows, strict=True))
        return self._jacobians[id(node)]


def _outputs(node: TracedCall, ruled: bool) -> list[tf.Tensor]:
    if ruled and node.pre_activation is not None:
        return [node.pre_activation]
    return node.output_tensors()


def _tensors(part: tf.Tensor | OuterProduct) -> list[tf.Tensor]:
    return [part.left, part.right] if isinstance(part, OuterProduct) else [part]


def _with_arrays(shape: OuterProduct | None, tensors: Any) -> Contribution:
    if shape is None:
        return Rows(array_of(next(tensors)))
    return OuterProduct(array_of(next(tensors)), array_of(next(tensors)), shape.window)


def _float_bytes(graph: tf.Graph) -> float:
    """Bytes of all floating-point tensors of known shape in a graph."""
    tensors = [t for op in graph.get_operations() for t in op.outputs if t.dtype.is_floating]
    return float(sum(t.dtype.size * (t.shape.num_elements() or 0) for t in tensors))
