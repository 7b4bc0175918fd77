"""Architectures by name, and their weights by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infomcr_cli.errors import InputError
from infomcr_cli.models.catalogue import APPLICATIONS, ARCHITECTURES
from infomcr_cli.models.names import named_weights

if TYPE_CHECKING:
    import keras

__all__ = ["APPLICATIONS", "ARCHITECTURES", "build_model", "named_weights"]


def build_model(name: str, *, input_shape: tuple[int, int, int], num_classes: int, **settings: Any) -> keras.Model:
    """Build a network that maps images to logits.

    Args:
        name:        one of `ARCHITECTURES`, each a module with a function `build`, or one of `APPLICATIONS`.
        input_shape: height, width, channels.
        num_classes: C, the number of logits.
        settings:    the architecture's own settings, and `l2`, the coefficient of the sum of squared weights; which
                     weights that is, the architecture says.
    Raises:  InputError: the name is unknown, or the images do not fit the network.
    Example: build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)
    """
    import importlib

    if name in APPLICATIONS:
        settings["name"], module = name, "application"
    elif name in ARCHITECTURES:
        module = name
    else:
        raise InputError(
            "model must be a known architecture", received=name, accepted=[*ARCHITECTURES, *sorted(APPLICATIONS)]
        )
    build = importlib.import_module(f"infomcr_cli.models.{module}").build
    shape = (
        input_shape if isinstance(input_shape, dict) else tuple(input_shape)
    )  # of each input, in a builder's network
    model: keras.Model = build(input_shape=shape, num_classes=num_classes, **settings)
    return model
