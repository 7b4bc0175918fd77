"""Record, while a model is traced, which layer was called with what and gave what, and where each weight was used.

A call is a node of a tree: a composite layer's node holds the calls made inside it. Calls inside a loop or a branch
live in another graph and cannot be seen from outside; the weights they use then belong to the call around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.measures.stateless import all_layers
from infomcr_cli.models.keras_internals import creation_index, replaced


@dataclass(eq=False)
class TracedCall:
    """One call of a layer.

    Args:
        layer:          the layer; it may be called several times, each call being a node.
        call:           its original `call`, to be repeated.
        args, kwargs:   what it was called with.
        parent:         the call around it, None for the model's own.
        first, last:    the numbers of the first and the last operation made inside, in the order of creation.
        outputs:        what it returned.
        pre_activation: what its `activation` was given, where the layer has one that is a function.
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

    def lineage(self) -> Iterator[TracedCall]:
        """Yield this node and the ones around it, outwards."""
        node: TracedCall | None = self
        while node is not None:
            yield node
            node = node.parent


@dataclass
class LayerTracer:
    """The calls of one trace.

    Args:
        graph: the graph being traced; calls in inner graphs are not recorded.
    """

    graph: tf.Graph
    nodes: list[TracedCall] = field(default_factory=list)
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
        end = self.nodes[0].last if self.nodes else -1
        numbers = [number for op in weight.consumers() if (number := creation_index(op)) <= end]
        return list({id(node): node for node in map(self._innermost, numbers)}.values())

    def operations(self, node: TracedCall) -> list[tf.Operation]:
        """Return the operations made inside a call."""
        return [op for op in self.graph.get_operations() if node.first < creation_index(op) < node.last]

    def _innermost(self, number: int) -> TracedCall | None:
        around = [node for node in self.nodes if node.first < number < node.last]
        return max(around, key=lambda node: node.first, default=None)

    def _call(self, layer: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._active or tf.compat.v1.get_default_graph() is not self.graph:
            return call(*args, **kwargs)
        node = TracedCall(layer, call, args, kwargs, self._open[-1] if self._open else None, self._marker())
        self.nodes.append(node)
        self._open.append(node)
        try:
            node.outputs = call(*args, **kwargs)
        finally:
            self._open.pop()
        node.last = self._marker()
        return node.outputs

    def _activate(self, layer: keras.Layer, activation: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
        if self._active and self._open and self._open[-1].layer is layer:
            self._open[-1].pre_activation = x
        return activation(x, *args, **kwargs)

    def _marker(self) -> int:
        return creation_index(tf.no_op())


def has_leading(tensors: Sequence[tf.Tensor], size: int, graph: tf.Graph) -> bool:
    """Say whether all these tensors belong to `graph` and have `size` entries along their first axis."""
    return all(x.graph is graph and x.shape.rank and x.shape[0] == size for x in tensors)
