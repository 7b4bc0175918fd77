"""A .keras file taken apart and put together again, changed."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def small_file(path: Path) -> Path:
    """An untrained network for the digits that ends in softmax."""
    path.write_bytes(_small())
    return path


@cache
def _small() -> bytes:
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax", name="last")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers], name="small")
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/small.keras")
        return Path(folder, "small.keras").read_bytes()


def enlarging_file(path: Path) -> Path:
    """A network that makes its images larger first."""
    layers = [keras.layers.UpSampling2D(2), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(
    path: Path, contents: dict[str, bytes], extra: Callable[[zipfile.ZipFile], Any] = lambda archive: None
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        extra(archive)
    return path


def with_config(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change the description of the layers; `change` alters it in place, or returns another."""
    contents = members(path)
    config = json.loads(contents[CONFIG])
    changed = change(config)
    contents[CONFIG] = json.dumps(config if changed is None else changed).encode()
    return write(path, contents)


def layer(config: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in config["config"]["layers"] if one["class_name"] == kind)
