"""A network of the user's own, from a function that the user names: this runs the user's code."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    import keras

_named_by_the_user: set[str] = set()
PATTERN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def trust_builder(path: str) -> None:
    """Note that the user has named this function, on the command line or in a configuration of their own."""
    _named_by_the_user.add(path)


def is_trusted(path: str) -> bool:
    """Return whether the user has named this function in this process."""
    return path in _named_by_the_user


def resolve_builder(path: str, *, trusted: bool) -> Callable[..., Any]:
    """Import a function named `package.module:function`, from the current folder or wherever Python finds it.

    Args:    trusted: whether the name comes from the command line or the user's own configuration. One that was read
             from a run directory is not: a directory may come from anyone.
    Raises:  InputError: the name is not trusted, not of that form, or not to be found.
    Example: resolve_builder("mynets.small:build", trusted=True)
    """
    if not PATTERN.fullmatch(path):
        raise InputError("model.builder must be package.module:function", received=path)
    if not trusted:
        raise InputError(
            "model.builder must be named by you: code that a run directory names is never run",
            received=path,
            advice=f"Where you trust it, say so on the command line: model.builder={path}",
        )
    module, _, name = path.partition(":")
    builder = getattr(_imported(module, path), name, None)
    if not callable(builder):
        raise InputError(
            "model.builder must name a function", received=path, advice=f"{module} has no function {name}."
        )
    return builder


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    builder: str,
    settings: Mapping[str, Any],
    l2: float,
    trusted: bool = False,
) -> keras.Model:
    """Call a user's function and check that what it returns is a network that gives logits.

    The function is called with the keywords input_shape, num_classes, l2 and everything in `settings`; what l2
    penalises is its own affair.

    Raises: InputError: the function cannot be had, or its network does not map such images to [num_classes].
    """
    import keras

    function = resolve_builder(builder, trusted=trusted)
    keywords = {"input_shape": input_shape, "num_classes": num_classes, "l2": l2, **settings}
    try:
        inspect.signature(function).bind(**keywords)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model.builder must take the keywords {', '.join(keywords)}", received=builder, advice=f"It says: {error}."
        ) from None
    model = function(**keywords)
    expected = (None, num_classes)
    if not isinstance(model, keras.Model) or getattr(model, "output_shape", None) != expected:
        received = getattr(model, "output_shape", type(model).__name__)
        raise InputError(f"model.builder must return a keras.Model of output shape {expected}", received=received)
    model(_zeros(input_shape), training=False)  # some layers make weights only when they see an image
    return model


def _zeros(input_shape: Any) -> Any:
    """Two samples of one shape, or of several by name."""
    import keras

    if isinstance(input_shape, Mapping):
        return {name: _zeros(shape) for name, shape in input_shape.items()}
    return keras.ops.zeros((2, *input_shape))


def _imported(module: str, path: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            "model.builder must name a module that can be imported", received=path, advice=f"{error}."
        ) from None
