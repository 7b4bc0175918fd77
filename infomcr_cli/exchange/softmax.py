"""Remove the final softmax of a network, because the measures need logits.

A softmax at the very end is removed in the description of the layers: weights and names stay as they are. A network
that outputs probabilities in any other way is refused by `models.logits`, which checks its operations and values.
"""

from __future__ import annotations

import copy
from typing import Any

from infomcr_cli.errors import InputError
from infomcr_cli.exchange.architecture import Architecture

SOFTMAX = ("softmax", "log_softmax")
SIGMOID = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")
_OPERATIONS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid"}
GATED = ("LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")  # their activation is not the last thing they do
ADVICE = "Build the network without it in code of your own: model=builder model.builder=package.module:function."


def without_softmax(architecture: Architecture) -> tuple[Architecture, str | None]:
    """Return the layers without the final softmax, and the name of the layer that had it, if any.

    A log-softmax is removed as well: it is the logarithm of a softmax, and both have the same logits.

    Raises:
        InputError: the network has several outputs, or ends in a sigmoid.
    """
    logits = copy.deepcopy(architecture)
    _unwrap(logits.get("config"))
    last = _last_layer(logits)
    ending = _ending(last)
    if ending in SIGMOID:
        raise InputError(
            "a network must output one logit per class, at least two",
            received=f"{ending} at its end",
            advice="With one sigmoid output: end in two logits, 0 and what the sigmoid was given. " + ADVICE,
        )
    if ending not in SOFTMAX:
        return logits, None
    if _axis(last) != -1:
        raise InputError("a softmax must act on the last axis", received=f"axis {_axis(last)}", advice=ADVICE)
    _take_away(last)
    return logits, str(last.get("name") or last["config"].get("name"))


def _unwrap(config: Any) -> None:
    """Replace a list of one input or output, as in older files, by its entry."""
    for ends in ("input_layers", "output_layers"):
        given = config.get(ends) if isinstance(config, dict) else None
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], list):
            config[ends] = given[0]


def _last_layer(architecture: Architecture) -> Architecture:
    """Return the description of the output layer, also inside nested models."""
    config = architecture.get("config") or {}
    layers = config.get("layers")
    if not isinstance(layers, list) or not layers:
        raise InputError("a network must have layers", received="none")
    if architecture["class_name"] == "Sequential":
        last = layers[-1]
    else:
        name = _output_name(config.get("output_layers"))
        last = next((layer for layer in layers if isinstance(layer, dict) and layer.get("name") == name), None)
    if not isinstance(last, dict) or not isinstance(last.get("config"), dict):
        raise InputError("the output of a network must come from one of its layers")
    nested = last.get("class_name") in ("Functional", "Model", "Sequential")
    return _last_layer(last) if nested else last


def _output_name(outputs: Any) -> str:
    """Return the name of a single output: [name, node, tensor], or a list with one of these."""
    while isinstance(outputs, list) and len(outputs) == 1:
        outputs = outputs[0]
    if isinstance(outputs, list) and len(outputs) == 3 and isinstance(outputs[0], str):
        return outputs[0]
    shown = f"outputs by name: {', '.join(outputs)}" if isinstance(outputs, dict) else f"{len(outputs or [])} outputs"
    raise InputError("a network must have a single, unnamed output", received=shown[:200], advice=ADVICE)


def _ending(layer: Architecture) -> str | None:
    kind = layer["class_name"]
    if kind in _OPERATIONS:
        return _OPERATIONS[kind]
    activation = None if kind in GATED else layer["config"].get("activation")
    if isinstance(activation, dict):  # a function, or an Activation layer given as one
        inner = activation.get("config")
        name = inner.get("activation") if isinstance(inner, dict) else inner
        return "softmax" if activation.get("class_name") == "Softmax" else name if isinstance(name, str) else None
    return activation if isinstance(activation, str) else None


def _axis(layer: Architecture) -> Any:
    config = layer["config"]
    axis = config.get("axis", -1) if layer["class_name"] in _OPERATIONS else -1
    return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis


def _take_away(layer: Architecture) -> None:
    """Set a softmax activation to linear, and replace a softmax layer by one that does nothing."""
    if layer["class_name"] not in _OPERATIONS:
        layer["config"]["activation"] = "linear"
        return
    kept = {key: layer["config"][key] for key in ("name", "dtype") if key in layer["config"]}
    layer.update(module="keras.layers", class_name="Activation", registered_name=None)
    layer["config"] = {**kept, "activation": "linear"}
    for node in layer.get("inbound_nodes", []):
        if isinstance(node, dict):
            node["kwargs"] = {}
