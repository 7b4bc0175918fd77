"""Architectures by name, and their weights by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    import keras

BUILDERS = {"wrn": "infomcr_cli.models.wrn"}


def build_model(name: str, *, input_shape: tuple[int, int, int], num_classes: int, **settings: Any) -> keras.Model:
    """Build a network that maps images to logits.

    Args:
        name:        one of `BUILDERS`; each names a module with a function `build`.
        input_shape: height, width, channels.
        num_classes: C, the number of logits.
        settings:    the architecture's own settings, and `l2`, the coefficient of the sum of squared weights.
    Raises:  InputError: the name is unknown.
    Example: build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)
    """
    import importlib

    if name not in BUILDERS:
        raise InputError("model must be a known architecture", received=name, accepted=sorted(BUILDERS))
    build = importlib.import_module(BUILDERS[name]).build
    model: keras.Model = build(input_shape=tuple(input_shape), num_classes=num_classes, **settings)
    return model


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Return every weight and moving statistic by its path, in the order in which layers were made.

    A layer `group1.block1.conv1` owns `group1/block1/conv1/kernel`: Keras refuses `/` in a layer's name.
    """
    return {_path(variable): variable for variable in model.weights if not _is_random_state(variable)}


def _path(variable: Any) -> str:
    layer, _, leaf = variable.path.rpartition("/")
    return f"{layer.replace('.', '/')}/{leaf}"


def _is_random_state(variable: Any) -> bool:
    return bool(variable.path.endswith("seed_generator_state"))
