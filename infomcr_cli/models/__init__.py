"""Build architectures by name, and name their weights by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infomcr_cli.config.schema.architectures import APPLICATIONS, ARCHITECTURES
from infomcr_cli.errors import InputError
from infomcr_cli.models.names import named_weights

if TYPE_CHECKING:
    import keras

__all__ = ["APPLICATIONS", "ARCHITECTURES", "build_model", "named_weights"]


def build_model(name: str, *, input_shape: Any, num_classes: int, **settings: Any) -> keras.Model:
    """Build a network that maps images to logits.

    Args:
        name:        one of `ARCHITECTURES`, each a module with a function `build`, or one of `APPLICATIONS`.
        input_shape: height, width, channels; a network of the user may take another shape, or one for each input name.
        num_classes: C, the number of logits.
        settings:    the architecture's own settings, and `l2`, the coefficient of the sum of squared weights; the
                     architecture's module says which weights.

    Raises:
        InputError: the name is unknown, or the images do not fit the network.

    Examples:
        A network like the study's, which has depth=28, width=2 and l2=5e-4::

            build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)
    """
    import importlib

    if name not in ARCHITECTURES and name not in APPLICATIONS:
        accepted = [*ARCHITECTURES, *sorted(APPLICATIONS)]
        raise InputError("model must be a known architecture", received=name, accepted=accepted)
    module = {"builder": "custom"}.get(name, name)
    if name in APPLICATIONS:
        settings["name"], module = name, "application"
    build = importlib.import_module(f"infomcr_cli.models.{module}").build
    shape = input_shape if isinstance(input_shape, dict) else tuple(input_shape)
    model: keras.Model = build(input_shape=shape, num_classes=num_classes, **settings)
    if name != "builder":  # a network of the user is checked when it is built
        from infomcr_cli.models.logits import mark_as_checked

        mark_as_checked(model)
    return model
