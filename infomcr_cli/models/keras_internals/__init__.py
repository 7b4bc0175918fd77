"""Every private name of Keras and TensorFlow that the package uses, so that an upgrade breaks in one place.

Four files: `layers` lists and patches the layers of a model, `normalization` replaces what norms compute, `operations`
reads and changes the operations of TensorFlow's graphs, `optimizers` clips and averages as Keras's optimizers do. What
they rely on is tested with the locked versions; the upper bound of `keras` in pyproject.toml names the last of them.
"""

from __future__ import annotations

from infomcr_cli.models.keras_internals.layers import (
    all_layers,
    compiled_methods,
    computing_in,
    full_precision,
    functional_graph,
    graph_nodes,
    inlined_functions,
    keras_mask,
    object_sharing,
    of_type,
    own_variables,
    replaced,
    set_keras_mask,
)
from infomcr_cli.models.keras_internals.normalization import (
    bounded_normalization,
    fused_batch_norm,
    twice_differentiable_moments,
)
from infomcr_cli.models.keras_internals.operations import (
    Convolution,
    Gradient,
    called_function,
    computes_with_onednn,
    creation_index,
    frozen_function,
    needs_xla,
    replace_convolution,
    replace_gradient,
)
from infomcr_cli.models.keras_internals.optimizers import clip, is_clipping, moving_averages

__all__ = [
    "Convolution",
    "Gradient",
    "all_layers",
    "bounded_normalization",
    "called_function",
    "clip",
    "compiled_methods",
    "computes_with_onednn",
    "computing_in",
    "creation_index",
    "frozen_function",
    "full_precision",
    "functional_graph",
    "fused_batch_norm",
    "graph_nodes",
    "inlined_functions",
    "is_clipping",
    "keras_mask",
    "moving_averages",
    "needs_xla",
    "object_sharing",
    "of_type",
    "own_variables",
    "replace_convolution",
    "replace_gradient",
    "replaced",
    "set_keras_mask",
    "twice_differentiable_moments",
]
