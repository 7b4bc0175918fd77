"""Build a network with the user's function, named by model.builder; this runs the user's code."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomcr_cli.errors import InputError
from infomcr_cli.models.user_code import user_code

if TYPE_CHECKING:
    import keras


PATTERN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def resolve_builder(path: str, *, trusted: bool, setting: str = "model.builder") -> Callable[..., Any]:
    """Import a function named `package.module:function`, from the current folder or wherever Python finds it.

    Args:
        trusted: whether the user gave the name, on the command line or in their configuration. A name that is read from
            a run directory is not trusted, because the directory may come from anyone.
        setting: the setting that names the function, for the message.

    Raises:
        InputError: the name is not trusted, not of that form, or not found.

    Examples:
        >>> from infomcr_cli.models.custom import resolve_builder
        >>> resolve_builder("math:sqrt", trusted=True)(9)
        3.0
    """
    check_trusted(path, trusted=trusted, setting=setting)
    module, _, name = path.partition(":")
    here = str(Path.cwd())  # an installed command has its own folder on the path instead of the working directory
    if here not in sys.path:
        sys.path.insert(0, here)
    with user_code(f"{setting}={path} must name a module that can be imported"):
        found = importlib.import_module(module)
    builder = getattr(found, name, None)
    if not callable(builder):
        raise InputError(f"{setting} must name a function", received=path, advice=f"{module} has no function {name}.")
    return builder


def check_trusted(path: str, *, trusted: bool, setting: str = "model.builder") -> None:
    """Raise InputError if the name of a function is not trusted, or does not have the form package.module:function."""
    if not PATTERN.fullmatch(path):
        raise InputError(f"{setting} must be package.module:function", received=path)
    if not trusted:
        raise InputError(
            f"{setting} must be given on the command line, because code that only a run directory or conf/ names "
            "is never executed",
            received=path,
            advice=f"If you trust it, add {setting}={path}",
        )


def build(
    *,
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
    num_classes: int,
    builder: str,
    settings: Mapping[str, Any],
    l2: float,
    trusted: bool = False,
) -> keras.Model:
    """Call a user's function and check that it returns a network that returns logits.

    The function is called with the keywords input_shape, num_classes, l2 and everything in `settings`; it
    decides which weights l2 penalises.

    Raises:
        InputError: the function cannot be imported or raises an error, or what it returns breaks a rule of
            `custom_checks.check_network`.
    """
    from infomcr_cli.models.custom_checks import check_network

    function = resolve_builder(builder, trusted=trusted)
    keywords = {"input_shape": input_shape, "num_classes": num_classes, "l2": l2, **settings}
    check_keywords(function, keywords, builder)
    with user_code(f"model.builder={builder} must return a network without an error"):
        model = function(**keywords)
    check_network(model, input_shape, num_classes, builder)
    return model


def check_keywords(function: Callable[..., Any], keywords: Iterable[str], path: str) -> None:
    """Raise InputError if a user's function does not take the keywords that it is called with."""
    names = list(keywords)
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model.builder must take the keywords {', '.join(names)}",
            received=path,
            advice=f"It says: {error}. Write it as: def {path.rpartition(':')[2]}(*, {', '.join(names)}). "
            "The first three are always given; model.settings gives the rest.",
        ) from None
