"""Per-sample gradients of any Keras model, their Gram matrix, and the measures that follow from it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infomcr_cli.measures.gamma import SingularGramError, log_volume
    from infomcr_cli.measures.gram.engine import GramEngine
    from infomcr_cli.measures.gram.gram_matrix import gram_matrix
    from infomcr_cli.measures.gram.rules import LayerCall, register_rule

_HOMES = {
    "GramEngine": "engine",
    "LayerCall": "rules",
    "gram_matrix": "gram",
    "register_rule": "rules",
    "SingularGramError": "spectrum",
    "log_volume": "spectrum",
}
__all__ = ["GramEngine", "LayerCall", "SingularGramError", "gram_matrix", "log_volume", "register_rule"]


def __getattr__(name: str) -> Any:  # TensorFlow is imported on first use only
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
