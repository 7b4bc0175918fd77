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
)


def load() -> None:
    """Import every file of measures, which registers what is in it; none of them imports TensorFlow."""
    for name in FILES:
        import_module(f"infomcr_cli.measures.{name}")
