"""Convert a network to ONNX: trace and freeze it with TensorFlow, translate it with tf2onnx, and check it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import input_structure
from infomcr_cli.models.keras_internals import frozen_function, full_precision


def onnx_model(model: keras.Model) -> Any:
    """Return the ONNX model of a network, an `onnx.ModelProto`; its weights are constants of the graph.

    Raises:
        InputError: the network has an operation or a type that ONNX, or tf2onnx, does not know.
    """
    import onnx

    try:
        with _quiet():
            translated = _translated(model)
            _without_erfc(translated)
            onnx.checker.check_model(translated, full_check=True)
    except InputError:
        raise
    except Exception as error:  # tf2onnx raises anything at a graph that it cannot translate
        said = printable(" ".join(str(error).split()), 300)
        advice = "Export it as NAME.keras or as a SavedModel."
        raise InputError("export to ONNX supports only operations of ONNX", received=said, advice=advice) from None
    return translated


def _translated(model: keras.Model) -> Any:
    import tf2onnx

    frozen = frozen_function(_traced(model))
    # The graph of a function takes its weights as inputs. Frozen, they are constants, and the network's inputs remain.
    inputs, outputs = ([tensor.name for tensor in ends] for ends in (frozen.inputs, frozen.outputs))
    translated, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(), name=model.name, input_names=inputs, output_names=outputs
    )
    _rename(translated, {name: name.partition(":")[0] for name in inputs} | {outputs[0]: "logits"})
    return translated


def _traced(model: keras.Model) -> Any:
    """Return the concrete function of a network in inference mode, in the precision of its weights."""

    def spec(tensor: keras.KerasTensor) -> tf.TensorSpec:
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name=tensor.name)

    specs = keras.tree.map_structure(spec, input_structure(model))
    function = tf.function(lambda inputs: model(inputs, training=False), input_signature=[specs], autograph=False)
    with full_precision(model):
        return function.get_concrete_function()


def _rename(model: Any, names: dict[str, str]) -> None:
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)


def _without_erfc(model: Any) -> None:
    """Replace erfc(x), which ONNX does not have and tf2onnx does not translate, by 1 - erf(x); GELU needs it."""
    import onnx

    nodes = []
    for node in model.graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        (given,), (result,) = node.input, node.output
        one = onnx.numpy_helper.from_array(np.float32(1), f"{result}/one")
        model.graph.initializer.append(one)
        nodes.append(onnx.helper.make_node("Erf", [given], [f"{result}/erf"]))
        nodes.append(onnx.helper.make_node("Sub", [one.name, f"{result}/erf"], [result]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of tf2onnx; the result is checked anyway."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
