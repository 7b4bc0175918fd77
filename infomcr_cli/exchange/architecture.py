"""Check Keras's JSON description of a network before Keras builds anything from it.

Keras's own `safe_mode` refuses Lambda layers only. The list in `allowed` makes sure that a description contains nothing
else that runs code or reads files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.allowed import ACTIVATIONS, CLASSES, OPERATION_MODULES, VALUES
from infomcr_cli.exchange.archive import MAX_CONFIG
from infomcr_cli.runs.io.safe_documents import parse_json

Architecture = dict[str, Any]
MAX_NODES = 2_000_000  # values in one description
WAY_OUT = (
    "If you trust it, build the network with code of your own and import its weights: "
    "infomcr import FILE.weights.h5 model=builder model.builder=package.module:function."
)
_MODELS = ("Functional", "Model", "Sequential")
_NAME = re.compile(r"[A-Za-z_]\w{0,99}")
_NUMBERS = re.compile(r"(u?int(8|16|32|64)|b?float(16|32|64)|bool)")


def read_architecture(content: bytes, what: str) -> Architecture:
    """Return a description that contains only Keras's own layers, without the settings of `compile`.

    Args:
        what: how it is named in an error, such as "config.json of mine.keras".

    Raises:
        InputError: it is no description of a model, or it names something that is not allowed.
    """
    document = parse_json(content, what, limit=MAX_CONFIG)
    if not isinstance(document, dict) or document.get("class_name") not in _MODELS:
        shown = document.get("registered_name") or document.get("class_name") if isinstance(document, dict) else None
        rule = f"{what} must describe a Functional or a Sequential model"
        raise InputError(rule, received=printable(str(shown), 100), advice=WAY_OUT)
    return check_architecture(_without_training(document), what)


def check_architecture(architecture: Architecture, what: str) -> Architecture:
    """Return a description after checking every object in it.

    Raises:
        InputError: an object is not allowed; it is named.
    """
    for node in _mappings(architecture, what):
        _check_node(node, what)
    return architecture


def architecture_bytes(architecture: Architecture) -> bytes:
    """Return a description as JSON; the same layers always give the same bytes."""
    return (json.dumps(architecture, sort_keys=True, allow_nan=False) + "\n").encode()


def _without_training(value: Any) -> Any:
    """Remove optimizer, losses and metrics: they are not needed here, and may name functions of the user."""
    if isinstance(value, dict):
        return {key: _without_training(inner) for key, inner in value.items() if key != "compile_config"}
    return [_without_training(inner) for inner in value] if isinstance(value, list) else value


def _mappings(value: Any, what: str) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping at any depth."""
    pending, count = [value], 0  # a list, not recursion: the file decides how deep it is
    while pending:
        current = pending.pop()
        count += 1
        if count > MAX_NODES:
            raise InputError(f"{what} must contain at most {MAX_NODES} values")
        if isinstance(current, dict):
            yield current
            pending += current.values()
        elif isinstance(current, list):
            pending += current


def _check_node(node: Mapping[str, Any], what: str) -> None:
    if node.get("quantization_config") or node.get("lora_rank"):
        raise InputError(f"{what} must contain plain weights", received="quantized or low-rank weights", advice=WAY_OUT)
    if "inbound_nodes" in node and "module" not in node:
        raise _legacy(what, node.get("name"))
    calls = node.get("inbound_nodes") or ()
    if not isinstance(calls, list | tuple):
        raise InputError(f"inbound_nodes in {what} must be a list", received=printable(str(calls), 100))
    for call in calls:
        _check_call(call, what)
    _check_precision(node.get("dtype"), what)
    if "class_name" not in node:
        return
    kind, module = node["class_name"], node.get("module")
    if not isinstance(kind, str):
        raise _refused(what, module, kind)
    if kind in VALUES:
        _check_value(node, what)
    elif kind == "function":
        _check_function(node, what)
    elif module is None and node.get("registered_name") is None:
        raise _legacy(what, kind)
    elif not _is_allowed(kind, module):
        raise _refused(what, module, kind if module else node.get("registered_name", kind))
    elif node.get("registered_name") not in (None, kind):
        raise _refused(what, "registered as", node["registered_name"])


def _check_call(call: Any, what: str) -> None:
    """Check a call: if it takes no tensor of the graph, Keras computes it on reading, however large the result."""
    kinds = (node.get("class_name") for node in _mappings(call, what))
    if isinstance(call, dict) and "__keras_tensor__" not in kinds:
        raise InputError(f"{what} must describe layers that use the output of other layers", received="only constants")


def _check_precision(dtype: Any, what: str) -> None:
    if isinstance(dtype, str) and (dtype == "string" or "_from_" in dtype):
        raise InputError(f"{what} must contain plain numbers", received=printable(dtype, 50), advice=WAY_OUT)


def _is_allowed(kind: str, module: Any) -> bool:
    if not (isinstance(module, str) and _NAME.fullmatch(kind)):
        return False
    return kind in CLASSES.get(module, ()) or (module in OPERATION_MODULES and kind[0].isupper())


def _check_function(node: Mapping[str, Any], what: str) -> None:
    name, module = node.get("config"), node.get("module")
    if isinstance(name, str) and ">" in name:  # package>name, as Keras registers functions
        raise _refused(what, "registered as", name)
    if (
        not isinstance(name, str)
        or name not in ACTIVATIONS
        or module not in ("builtins", "keras.activations", "keras.ops", "keras.ops.nn")
    ):
        raise _refused(what, module, name)
    if node.get("registered_name") not in (None, name):
        raise _refused(what, "registered as", node["registered_name"])


def _check_value(node: Mapping[str, Any], what: str) -> None:
    """Check an array: its type is given as text, and could be one that needs much memory or contains objects."""
    config = node.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    if dtype is not None and not (isinstance(dtype, str) and _NUMBERS.fullmatch(dtype)):
        raise InputError(f"{what} must contain arrays of numbers", received=printable(str(dtype), 50))


def _legacy(what: str, name: Any) -> InputError:
    """Refuse old formats, which Keras reads without its safe_mode."""
    received = f"{printable(str(name), 100)} without a module"
    return InputError(f"{what} must be as Keras 3 writes it", received=received, advice=WAY_OUT)


def _refused(what: str, module: Any, name: Any) -> InputError:
    received = printable(f"{module}.{name}" if module else str(name), 200).replace("registered as.", "registered as ")
    return InputError(
        f"{what} must contain only Keras layers that compute and do nothing else", received=received, advice=WAY_OUT
    )
