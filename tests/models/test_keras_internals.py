"""Private names of Keras and TensorFlow appear in `models/keras_internals` alone, and mean what it takes them for."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from packaging.requirements import Requirement

import infomcr_cli
from infomcr_cli.models import build_model
from infomcr_cli.models.keras_internals import all_layers, creation_index, functional_graph, graph_nodes, replaced

PACKAGE = Path(infomcr_cli.__file__).parent
INTERNALS = PACKAGE / "models" / "keras_internals"
PRIVATE_MODULE = re.compile(r"(keras\.src|tensorflow\.python)\b")
OWN = {"self", "cls"}


def private_names(path: Path) -> Iterator[str]:
    """Yield private modules of Keras and TensorFlow that a file imports, and private attributes of others' objects."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and PRIVATE_MODULE.match(node.module or ""):
            yield f"{path}:{node.lineno} {node.module}"
        if isinstance(node, ast.Import):
            yield from (f"{path}:{node.lineno} {a.name}" for a in node.names if PRIVATE_MODULE.match(a.name))
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and not _is_own(node.value):
            yield f"{path}:{node.lineno} {node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "replaced"):
            names = (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
            yield from (f"{path}:{node.lineno} {name}" for name in names if re.match(r"_[a-z]", name))


def _is_own(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in OWN


@pytest.mark.parametrize("package", ["models", "training", "experiment", "measures"])
def test_private_names_of_keras_and_tensorflow_are_in_keras_internals_only(package: str) -> None:
    files = [path for path in (PACKAGE / package).rglob("*.py") if INTERNALS not in path.parents]
    assert files
    assert [name for path in files for name in private_names(path)] == []


def test_keras_internals_holds_the_private_names() -> None:
    found = " ".join(name for path in INTERNALS.glob("*.py") for name in private_names(path))
    assert all(name in found for name in ("_flatten_layers", "_dtype_policy", "_id", "tensorflow.python"))


def test_installed_keras_is_within_the_bounds_that_are_tested() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    (bound,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "keras")
    assert any(specifier.operator == "<" for specifier in bound.specifier)
    assert version("keras") in bound.specifier


def test_all_layers_lists_nested_layers_once_and_the_model_first() -> None:
    shared = keras.layers.Dense(3, name="shared")
    inner = keras.Sequential([keras.Input((3,)), shared], name="inner")
    model = keras.Sequential([keras.Input((3,)), inner, shared], name="outer")
    names = [layer.name for layer in all_layers(model)]
    assert names[0] == "outer"
    assert names.count("shared") == 1
    assert {"inner", "shared"} <= set(names)


def test_graph_nodes_run_in_the_order_of_their_inputs() -> None:
    graph = functional_graph(build_model("mlp", input_shape=(2, 2, 1), num_classes=3, depth=2, width=4))
    made: set[int] = set()
    for node in graph_nodes(graph):
        assert node.is_input or all(id(x) in made for x in node.input_tensors)
        made |= {id(x) for x in node.outputs}


def test_subclassed_models_have_no_functional_graph() -> None:
    class Subclassed(keras.Model):
        pass

    assert functional_graph(Subclassed()) is None


def test_operations_are_numbered_in_the_order_of_their_creation() -> None:
    @tf.function(autograph=False)
    def double_sum(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(2 * x)

    indices = [creation_index(op) for op in double_sum.get_concrete_function(tf.zeros(3)).graph.get_operations()]
    assert indices == sorted(indices)
    assert len(set(indices)) == len(indices)


def test_replaced_attributes_are_restored_after_an_exception() -> None:
    layer = keras.layers.Dense(2)
    layer.build((None, 2))
    before = dict(vars(layer))

    def fail(x: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replaced(layer, "call", fail):
        layer.call(np.ones((1, 2)))
    assert vars(layer) == before
