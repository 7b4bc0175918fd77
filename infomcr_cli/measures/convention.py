"""The convention of a value: what it depends on besides network and data.

Values of different conventions are never ranked together.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from infomcr_cli.config.schema.measure import GammaConfig, MeasureConfig

Document = dict[str, Any]


def of_gram(gamma: GammaConfig, n_train: int, order: str | None) -> Document:
    """Return what gamma and all measures of the Gram matrix depend on, for JSON.

    Args:
        gamma:   settings.
        n_train: number of training images, an upper bound of the samples.
        order:   `stored` or `stratified`, how the images are ordered; None if not known: it is left out.
    """
    samples = min(gamma.samples, n_train)
    found = {
        "samples": samples,
        "draws": min(gamma.draws, samples // gamma.draw_size),  # the most, if `target_se` stops earlier
        "draw_size": gamma.draw_size,
        "batch_norm": gamma.batch_norm,
        "chunk_size": gamma.chunk_size if gamma.batch_norm == "batch" else None,  # changes nothing in inference mode
        "logit_scale": gamma.logit_scale,
        "order": order,
        "precision": gamma.precision,
        "target_se": gamma.target_se,
    }
    return found if order is not None else {name: value for name, value in found.items() if name != "order"}


def of_settings(config: MeasureConfig, names: Iterable[str], n_train: int) -> Document:
    """Return the settings of these names, on which a measure depends, for JSON."""
    settings = {name: attrgetter(name)(config) for name in names}
    if "samples" in settings:  # as many as there are
        settings["samples"] = min(settings["samples"], n_train)
    return {"batch_norm": "inference", **settings}


def of_others(config: MeasureConfig, names: Iterable[str], n_train: int) -> Document:
    """Return settings besides those of the draws, on which a measure of the draws depends too, for JSON."""
    found = of_settings(config, names, n_train)
    # `samples` and `batch_norm` are those of the draws.
    return {"measure.samples" if name == "samples" else name: found[name] for name in found if name != "batch_norm"}
