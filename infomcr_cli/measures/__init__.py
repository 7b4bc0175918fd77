"""Per-sample gradients of any Keras model, their Gram matrix, and the measures that follow from it."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.measures.gamma import SingularGramError as SingularGramError
    from infomcr_cli.measures.gamma import log_volume as log_volume
    from infomcr_cli.measures.gram.engine import GramEngine as GramEngine
    from infomcr_cli.measures.gram.engine import gram_matrix as gram_matrix
    from infomcr_cli.measures.gram.layer_rules import LayerCall as LayerCall
    from infomcr_cli.measures.gram.layer_rules import register_rule as register_rule

# TensorFlow is imported on first use only.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "gamma": ["SingularGramError", "log_volume"],
        "gram.engine": ["GramEngine", "gram_matrix"],
        "gram.layer_rules": ["LayerCall", "register_rule"],
    },
)
