"""Record the layer calls of a model while it is traced, and plan how each weight's per-sample gradient is computed.

Calls form a tree: the call of a composite layer is the parent of the calls made inside it. Calls inside a loop or a
branch belong to another graph and cannot be seen from outside; their weights belong to the call around them.

The gradient of a weight comes from a closed-form rule if all its uses have one, else from the Jacobian of the calls
around its uses, else from the Jacobian of the whole model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.layer_rules import own_trainable, rule_of
from infomcr_cli.models.keras_internals import all_layers, creation_index, needs_xla, replaced

GradientMethod = Literal["rule", "layer", "model"]
COMPILED = "compiled by XLA"


@dataclass(eq=False)  # hashed by identity: calls are the keys of dictionaries
class TracedCall:
    """One call of a layer.

    Args:
        layer:          the layer; it may be called several times.
        call:           its original `call`, which can be repeated.
        args, kwargs:   what it was called with.
        parent:         the call around it, None for the model's own.
        first, last:    the numbers of the first and the last operation made inside, in the order of creation.
        outputs:        what it returned.
        pre_activation: the input of its `activation`, if the layer has one that is a function.
    """

    layer: keras.Layer
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parent: TracedCall | None
    first: int
    last: int = -1
    outputs: Any = None
    pre_activation: tf.Tensor | None = None

    def input_tensors(self) -> list[tf.Tensor]:
        """Return every tensor among the arguments."""
        return [x for x in keras.tree.flatten((self.args, self.kwargs)) if tf.is_tensor(x)]

    def output_tensors(self) -> list[tf.Tensor]:
        """Return every floating-point tensor among the outputs."""
        return [x for x in keras.tree.flatten(self.outputs) if tf.is_tensor(x) and x.dtype.is_floating]

    def rule_output(self) -> tf.Tensor:
        """Return the tensor whose cotangent a rule takes: the output, before the activation."""
        return self.pre_activation if self.pre_activation is not None else self.output_tensors()[0]

    def is_per_sample(self, samples: int, graph: tf.Graph, *, first_input_only: bool = False) -> bool:
        """Return whether inputs and outputs belong to `graph` and have one entry a sample along their first axis."""
        inputs, outputs = self.input_tensors(), self.output_tensors()
        if first_input_only:
            inputs = inputs[:1]
        reachable = all(getattr(x, "graph", None) is graph for x in [*inputs, *outputs])
        has_samples = [bool(x.shape.rank) and x.shape[0] == samples for x in inputs]
        return (
            reachable
            and any(has_samples)
            and bool(outputs)
            and all(y.shape.rank and y.shape[0] == samples for y in outputs)
        )

    def lineage(self) -> Iterator[TracedCall]:
        """Yield this call and the ones around it, outwards."""
        call: TracedCall | None = self
        while call is not None:
            yield call
            call = call.parent


@dataclass
class LayerTracer:
    """The calls of one trace.

    Args:
        graph: the graph being traced; calls in inner graphs are not recorded.
    """

    graph: tf.Graph
    calls: list[TracedCall] = field(default_factory=list)
    _open: list[TracedCall] = field(default_factory=list)
    _active: bool = True

    @contextmanager
    def watching(self, model: keras.Model) -> Iterator[None]:
        """Record every call of the model's layers made inside."""
        with ExitStack() as stack:
            for layer in all_layers(model):
                stack.enter_context(replaced(layer, "call", partial(self._call, layer, layer.call)))
                if callable(vars(layer).get("activation")):
                    stack.enter_context(replaced(layer, "activation", partial(self._activate, layer, layer.activation)))
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let calls be repeated without recording them."""
        self._active = False
        try:
            yield
        finally:
            self._active = True

    def uses(self, weight: tf.Tensor) -> list[TracedCall | None]:
        """Return the innermost calls that read a weight's tensor, each once; None for a use outside of any call."""
        end = self.calls[0].last if self.calls else -1
        innermost: dict[TracedCall | None, None] = {}
        for number in map(creation_index, weight.consumers()):
            if number <= end:  # the backward pass reads weights too
                around = [call for call in self.calls if call.first < number < call.last]
                innermost[max(around, key=lambda call: call.first, default=None)] = None
        return list(innermost)

    def operation_types(self, call: TracedCall) -> set[str]:
        """Return the types of the operations made inside a call; `COMPILED` for all that XLA must compile."""
        made = [op for op in self.graph.get_operations() if call.first < creation_index(op) < call.last]
        return {COMPILED if needs_xla(op) else op.type for op in made}

    def _call(self, layer: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._active or tf.compat.v1.get_default_graph() is not self.graph:
            return call(*args, **kwargs)
        # The numbers of two operations without effect mark the first and the last operation of the call.
        first = creation_index(tf.no_op())
        traced = TracedCall(layer, call, args, kwargs, self._open[-1] if self._open else None, first)
        self.calls.append(traced)
        self._open.append(traced)
        try:
            traced.outputs = call(*args, **kwargs)
        finally:
            self._open.pop()
        traced.last = creation_index(tf.no_op())
        return traced.outputs

    def _activate(self, layer: keras.Layer, activation: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
        if self._active and self._open and self._open[-1].layer is layer:
            self._open[-1].pre_activation = x
        return activation(x, *args, **kwargs)


@dataclass(frozen=True)
class GradientPlan:
    """How the per-sample gradient of one weight is computed.

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


def plan_gradient(tracer: LayerTracer, variable: keras.Variable, value: tf.Tensor, samples: int) -> GradientPlan:
    """Return the plan for one weight.

    Args:
        value:   the tensor of the weight in the recorded pass.
        samples: number of samples in that pass; a tensor with one entry a sample is known by it.
    """
    by_rule, by_layer = [], []
    for call in tracer.uses(value):
        if (
            call is not None
            and any(v is variable for v in own_trainable(call.layer))
            and rule_of(call.layer) is not None
            and call.is_per_sample(samples, tracer.graph, first_input_only=True)
        ):
            by_rule.append(call)
            continue
        around = call.lineage() if call is not None else iter(())
        # The innermost call around the use that has one entry a sample on both of its sides, the whole model excluded.
        separable = (c for c in around if c.parent is not None and c.is_per_sample(samples, tracer.graph))
        if (nearest := next(separable, None)) is None:
            return GradientPlan(variable, "model")
        by_layer.append(nearest)
    unique = list(dict.fromkeys(by_layer))
    # Of two chosen calls, one inside the other, the outer one covers both.
    outer = [c for c in unique if not any(o in unique for o in c.lineage() if o is not c)]
    inner = [c for c in by_rule if not any(o in outer for o in c.lineage())]  # an outer call covers those inside it
    return GradientPlan(variable, "layer" if outer else "rule", tuple(inner), tuple(outer))
