"""The calls of layers in a functional network; those of models inside it are listed one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from infomcr_cli.errors import InputError
from infomcr_cli.models.keras_internals import functional_graph, graph_nodes


@dataclass(frozen=True, eq=False)
class Edge:
    """A tensor between two calls.

    Args:
        shape: with the batch.
    """

    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or of a bare operation.

    Args:
        constants: its other arguments, such as the 3 in x + 3.
    """

    operation: Any
    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]
    constants: tuple[Any, ...] = ()


@dataclass(frozen=True)
class LayerGraph:
    """A network as calls in an order in which they can be made.

    Args:
        outputs: of the network; they count as read.
    """

    calls: tuple[Call, ...]
    outputs: tuple[Edge, ...]

    def calls_of(self, operation: Any) -> list[Call]:
        """Return the calls of one layer."""
        return [call for call in self.calls if call.operation is operation]

    def producer(self, edge: Edge) -> Call | None:
        """Return the call that gives a tensor; None for an input of the network."""
        return next((call for call in self.calls if edge in call.outputs), None)

    def readers(self, edge: Edge) -> int:
        """Return how often a tensor is read, the network's outputs included."""
        return sum(call.inputs.count(edge) for call in self.calls) + self.outputs.count(edge)


def layer_graph(model: keras.Model) -> LayerGraph:
    """Return the graph of a functional or sequential network; a model inside it of another kind is one call.

    Raises:
        InputError: the network itself is not a graph of layers.
    """
    if (graph := _functional(model)) is None:
        raise InputError("the network must be a graph of layers", received=model.name)
    calls: list[Call] = []
    outputs = _unrolled(graph, tuple(Edge(tuple(x.shape)) for x in graph.inputs), calls)
    return LayerGraph(tuple(calls), outputs)


def is_of_keras(layer: keras.Layer) -> bool:
    """Return whether a layer computes as its Keras class does: a subclass with a call of its own may do anything.

    So may one with LoRA or quantized weights.
    """
    methods = [getattr(type(layer), name, None) for name in ("call", "convolution_op")]
    ours = all(m is None or m.__module__.partition(".")[0] in ("keras", "infomcr_cli") for m in methods)
    return ours and not getattr(layer, "lora_enabled", False) and not getattr(layer, "quantization_mode", None)


def _functional(model: Any) -> Any:
    """Return the functional graph behind a model; None if Python code runs it."""
    return functional_graph(model) if is_of_keras(model) else None


def _unrolled(graph: Any, inputs: tuple[Edge, ...], calls: list[Call]) -> tuple[Edge, ...]:
    """Append the calls of a graph that is given `inputs`, and return its outputs."""
    edges: dict[int, Edge] = dict(zip(map(id, graph.inputs), inputs, strict=True))
    for node in graph_nodes(graph):
        if node.is_input:
            continue
        given = tuple(edges[id(x)] for x in node.input_tensors)
        inner = _functional(node.operation) if isinstance(node.operation, keras.Model) else None
        if inner is not None:
            outputs = _unrolled(inner, given, calls)
        else:
            outputs = tuple(Edge(tuple(x.shape)) for x in node.outputs)
            arguments = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
            constants = tuple(x for x in arguments if x is not None and not isinstance(x, keras.KerasTensor))
            calls.append(Call(node.operation, given, outputs, constants))
        edges |= dict(zip(map(id, node.outputs), outputs, strict=True))
    return tuple(edges[id(x)] for x in graph.outputs)
