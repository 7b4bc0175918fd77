"""The files that hold measures, imported when the registry is first read."""

from __future__ import annotations

from importlib import import_module

FILES = (
    "from_gram.gamma",
    "from_gram.fisher_trace",
    "from_gram.spectral_norm",
    "from_gram.frobenius_norm",
    "from_gram.effective_rank",
    "from_gram.fisher_rao_norm",
    "from_gram.gradient_noise",
    "rivals.train_loss",
    "rivals.margin",
    "rivals.parameter_count",
    "rivals.distance_from_initialization",
    "rivals.frobenius_product",
    "rivals.frobenius_product_over_margin",
    "rivals.path_norm",
    "rivals.sharpness",
    "rivals.adaptive_sharpness",
    "rivals.relative_flatness",
    "rivals.spectral_product",
    "rivals.spectral_product_over_margin",
    "rivals.worst_case_sharpness",
    "rivals.noise_scale",
    "rivals.magnitude_noise_scale",
    "rivals.hessian_trace",
    "rivals.hessian_eigenvalue",
)


def load() -> None:
    """Import every file of measures, which registers what is in it; none of them imports TensorFlow."""
    for name in FILES:
        import_module(f"infomcr_cli.measures.{name}")
