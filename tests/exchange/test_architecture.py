"""The list of what a description of layers may name, and descriptions that are damaged anywhere."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from archives import CONFIG, members, small_file

from infomcr_cli.errors import InputError
from infomcr_cli.exchange import allowed
from infomcr_cli.exchange.architecture import read_architecture

JUNK: list[Any] = [
    None,
    [],
    {},
    "os.system",
    -1,
    10**30,
    ["x"],
    {"class_name": ["x"], "config": {}},
    {"class_name": "function", "config": [1], "module": "builtins"},
    {"class_name": "Dense", "config": {}, "module": ["keras.layers"]},
    {"class_name": "Dense", "config": {}, "module": "keras.layers", "registered_name": {}},
    {"class_name": "__numpy__", "config": {"dtype": {}}},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key], (*path, key))


def test_every_allowed_name_is_a_class_of_keras_that_can_be_described() -> None:
    for module in ("keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints"):
        for name in allowed.CLASSES[module]:
            assert hasattr(getattr(getattr(keras, module.split(".")[1]), name), "from_config"), name
    assert all(callable(getattr(keras.activations, name)) for name in allowed.ACTIVATIONS)


@pytest.mark.parametrize(
    "name", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "TextVectorization"]
)
def test_layers_that_run_or_read_something_else_are_not_allowed(name: str) -> None:
    assert name not in allowed.LAYERS
    config = {"name": "m", "layers": [{"module": "keras.layers", "class_name": name, "config": {}}]}
    document = {"module": "keras", "class_name": "Sequential", "config": config}
    with pytest.raises(InputError, match=name):
        read_architecture(json.dumps(document).encode(), "config.json")


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Dense", "module": "keras.layers", "config": {}, "inbound_nodes": 5},
        {"class_name": "Dense", "module": "keras.layers", "config": {}, "inbound_nodes": "abc"},
        {"class_name": "Dense", "module": "", "config": {}},
        {"class_name": "Dense", "module": 0, "config": {}},
    ],
)
def test_a_malformed_layer_is_refused(layer: dict[str, Any]) -> None:
    document = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": [layer]}}
    with pytest.raises(InputError):
        read_architecture(json.dumps(document).encode(), "config.json")


def test_a_damaged_description_is_read_or_refused_and_raises_nothing_else(tmp_path: Path) -> None:
    text = members(small_file(tmp_path / "net.keras"))[CONFIG]
    every, generator = list(places(json.loads(text))), random.Random(0)
    for path in every:
        if not path:
            continue
        for junk in generator.sample(JUNK, 4):
            document = json.loads(text)
            owner = document
            for key in path[:-1]:
                owner = owner[key]
            owner[path[-1]] = junk
            try:
                read_architecture(json.dumps(document).encode(), "config.json")
            except InputError:
                continue


def test_what_compiled_a_model_is_left_out(tmp_path: Path) -> None:
    document = json.loads(members(small_file(tmp_path / "net.keras"))[CONFIG])
    document["compile_config"] = {"loss": {"module": "mine", "class_name": "MyLoss", "registered_name": "mine>MyLoss"}}
    assert "compile_config" not in read_architecture(json.dumps(document).encode(), "config.json")
